// Carries out docker/Dockerfile without a container engine: its COPY and RUN lines in an empty folder, then
// the program in that folder made read-only, as an unprivileged user where this one is root. It needs the
// npm registry. What it cannot show: that the base image has what this machine has.
import { expect, test } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Stage, commandOf, environmentOf, parseDockerfile } from './dockerfile.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** COPY, WORKDIR and RUN of one stage below `root`, which stands for `/`. */
function carryOut(stage: Stage, root: string, stages: ReadonlyMap<string, string>): string {
  let folder = root;
  const inside = (path: string) => (path.startsWith('/') ? join(root, path) : resolve(folder, path));
  for (const { name, words, options, text } of stage.instructions) {
    if (name === 'WORKDIR') mkdirSync((folder = inside(text)), { recursive: true });
    if (name === 'RUN') execFileSync('sh', ['-c', text], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    if (name !== 'COPY') continue;
    const target = inside(words.at(-1)!);
    const from = options['from'] === undefined ? repository : stages.get(options['from'])!;
    for (const source of words.slice(0, -1)) {
      const origin = join(from, source);
      const isFolder = !existsSync(origin) || readFolder(origin);
      // As Docker does: of a folder its content, a file into a folder that is named with a slash.
      const place = isFolder ? target : words.at(-1)!.endsWith('/') ? join(target, basename(source)) : target;
      cpSync(origin, place, { recursive: true, verbatimSymlinks: true });
    }
    const [user, group] = (options['chown'] ?? '').split(':').map(Number);
    if (user && process.getuid?.() === 0) execFileSync('chown', ['-R', `${user}:${group}`, target]);
  }
  return folder;
}

const readFolder = (path: string) => execFileSync('sh', ['-c', 'test -d "$0" && echo yes || echo no', path], { encoding: 'utf8' }).trim() === 'yes';

const freePort = () =>
  new Promise<number>((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });

test('the Dockerfile gives a program that starts without root in a read-only folder, is healthy, and stops', async () => {
  const top = mkdtempSync(join(tmpdir(), 'fromage-image-'));
  execFileSync('chmod', ['755', top]);
  const stages = parseDockerfile(readFileSync(join(repository, 'docker/Dockerfile'), 'utf8'));
  const roots = new Map<string, string>();
  let folder = '';
  stages.forEach((stage, i) => {
    const root = join(top, `stage-${i}`);
    mkdirSync(root);
    if (stage.alias !== null) roots.set(stage.alias, root);
    folder = carryOut(stage, root, roots);
  });
  const last = stages.at(-1)!;
  const image = join(top, `stage-${stages.length - 1}`);
  const megabytes = Number(execFileSync('du', ['-sm', image], { encoding: 'utf8' }).split('\t')[0]);
  console.log(`image without its base: ${megabytes} MB`);
  expect(existsSync(join(folder, 'node_modules/jest'))).toBe(false);
  expect(existsSync(join(folder, 'node_modules/.bin/node'))).toBe(false);
  execFileSync('chmod', ['-R', 'a-w,a+rX', folder]);

  const port = await freePort();
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    ...environmentOf(last),
    FROMAGE_HOST: '127.0.0.1',
    PORT: String(port),
    FROMAGE_DATA_DIR: join(image, 'data'),
    HF_HOME: join(image, 'data/hub'),
    FROMAGE_THREADS: '1',
  };
  const as = process.getuid?.() === 0 ? { uid: 10_001, gid: 10_001 } : {};
  // The Node that runs this test stands for the base image's.
  const node = join(top, 'node');
  cpSync(process.execPath, node);
  const [, ...entry] = [...commandOf(last, 'ENTRYPOINT'), ...commandOf(last, 'CMD')];
  const program = spawn(node, entry, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], ...as });
  let said = '';
  program.stdout.on('data', (text: Buffer) => (said += text.toString()));
  program.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const ended = new Promise<number | null>((done) => program.once('exit', done));
  try {
    const [, ...check] = commandOf(last, 'HEALTHCHECK');
    const healthy = () =>
      new Promise<boolean>((done) => {
        spawn(node, check, { cwd: folder, env, stdio: 'ignore', ...as }).once('exit', (code) => done(code === 0));
      });
    let isHealthy = false;
    for (let i = 0; i < 180 && program.exitCode === null && !(isHealthy = await healthy()); i++) await sleep(1000);
    if (!isHealthy) throw new Error(`not healthy: ${said}`);
    program.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(existsSync(join(image, 'data/fromage.db'))).toBe(true);
  } finally {
    program.kill('SIGKILL');
    await ended;
    execFileSync('chmod', ['-R', 'u+w', top]);
    rmSync(top, { recursive: true, force: true });
  }
});
