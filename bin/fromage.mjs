#!/usr/bin/env node
// The command's front door, in plain JavaScript that any Node can parse: it makes sure that a Node of
// at least 22.12 runs the TypeScript sources. An older Node hands over to the Node 24 which `npm ci`
// put into node_modules; without one it says what to do. Nothing native is imported before that check.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
// 22.18 is the first that strips types without a flag.
const runsTypeScript = major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
const quiet = '--disable-warning=ExperimentalWarning';

if (runsTypeScript) {
  process.removeAllListeners('warning');
  const { main } = await import('../src/cli/main.ts');
  await main(process.argv.slice(2));
} else {
  const bundled = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
  const recent = major > 22 || (major === 22 && minor >= 12);
  if (!recent && !existsSync(bundled)) {
    console.error(
      `fromage needs Node 22.12 or newer and this is ${process.version}. ` +
        'Install Node 24 LTS from nodejs.org, or run "npm ci" without --omit=optional: it brings a Node 24 of its own.',
    );
    process.exit(1);
  }
  const flags = recent ? ['--experimental-strip-types', quiet] : [quiet];
  const child = spawn(recent ? process.execPath : bundled, [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH ?? ''}` },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = signal ? 128 + (signal === 'SIGINT' ? 2 : 15) : (code ?? 1);
  });
}
