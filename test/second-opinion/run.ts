/**
 * A second opinion on the loopback servers: clients of other authors (grammY, aiogram, discord.py) talk to
 * the same servers that our bots are tested against. No part of `npm test`: it needs the npm and PyPI
 * registries and Python 3.10 or newer. From the repository's root:
 *
 *   npx node test/second-opinion/run.ts [folder] [grammy] [aiogram] [discord.py]
 *
 * The clients are installed into `folder` (a temporary one that is removed again when none is named), never
 * into the project. Prints each check that passed and a line per client; exits 1 when one failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { playDiscord } from './discord-people.ts';
import { SecondClient } from './second-client.ts';
import { playTelegram } from './telegram-people.ts';

const here = import.meta.dirname;
const known = ['grammy', 'aiogram', 'discord.py'] as const;
const named = process.argv.slice(2);
const chosen = known.filter((name) => named.includes(name));
const wanted = chosen.length > 0 ? chosen : known;
const given = named.find((name) => !known.includes(name as (typeof known)[number]));
const folder = given === undefined ? mkdtempSync(join(tmpdir(), 'fromage-second-opinion-')) : resolve(given);

function must(command: string, args: readonly string[]): void {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

function installPython(name: string): string {
  const python = join(folder, 'python', 'bin', 'python');
  if (!existsSync(python)) must('python3', ['-m', 'venv', join(folder, 'python')]);
  must(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', name]);
  return python;
}

async function play(name: (typeof known)[number]): Promise<SecondClient> {
  if (name === 'grammy') {
    must('npm', ['install', '--silent', '--no-audit', '--no-fund', '--prefix', folder, 'grammy@1']);
    return playTelegram((env) => new SecondClient(name, process.execPath, [join(here, 'grammy-client.mjs'), folder], env));
  }
  const python = installPython(name);
  const script = join(here, name === 'aiogram' ? 'aiogram_client.py' : 'discord_client.py');
  const open = (env: Readonly<Record<string, string>>) => new SecondClient(name, python, ['-u', script], env);
  return name === 'aiogram' ? playTelegram(open) : playDiscord(open);
}

mkdirSync(folder, { recursive: true });
try {
  for (const name of wanted) {
    const { passed, failed } = await play(name);
    console.log(`${name}: ${passed.length} passed, ${failed.length} failed`);
    if (failed.length > 0) process.exitCode = 1;
  }
} finally {
  if (given === undefined) rmSync(folder, { recursive: true, force: true });
}
