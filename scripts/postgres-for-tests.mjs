// Starts a throwaway PostgreSQL in a temporary folder, runs the command given after it with
// TEST_POSTGRES_URL set, and removes everything again:
//   node scripts/postgres-for-tests.mjs npm test -- test/store
// Without a command it prints the URL and runs until it is interrupted. PostgreSQL refuses to run as root,
// so as root the server runs as `postgres` (Debian's package makes that user) or `nobody`.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The folder of initdb and postgres, newest version first; null where there is none. */
export function findServer() {
  const folders = [...globSync('/usr/lib/postgresql/*/bin'), ...globSync('/usr/pgsql-*/bin'), ...(process.env.PATH ?? '').split(':')];
  const version = (path) => Number(/(\d+)\/bin$/.exec(path)?.[1] ?? 0);
  return folders.filter((path) => existsSync(join(path, 'initdb')) && existsSync(join(path, 'postgres'))).sort((a, b) => version(b) - version(a))[0] ?? null;
}

/** Who runs the server: null for this user. */
function serverUser() {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // The next one.
    }
  }
  throw new Error('PostgreSQL does not run as root and there is neither a user postgres nor nobody');
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** @returns the URL of a running, empty server and how to end it; null where no server is installed */
export async function startPostgres() {
  const bin = findServer();
  if (!bin) return null;
  const user = serverUser();
  const folder = mkdtempSync(join(tmpdir(), 'fromage-postgres-'));
  if (user) chownSync(folder, user.uid, user.gid);
  const env = { ...process.env, LC_ALL: 'C' };
  const options = { ...(user ?? {}), env, cwd: folder };
  execFileSync(join(bin, 'initdb'), ['-D', join(folder, 'data'), '-U', 'fromage', '-A', 'trust', '-E', 'UTF8', '--no-sync'], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  const port = await freePort();
  const server = spawn(join(bin, 'postgres'), ['-D', join(folder, 'data'), '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', '-c', 'max_connections=60', '-c', 'fsync=off'], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', (text) => (said += text));
  const ended = new Promise((resolve) => server.once('exit', resolve));
  const stop = async () => {
    server.kill('SIGINT');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let i = 0; !said.includes('ready to accept connections'); i++) {
    if (i > 300 || server.exitCode !== null) {
      await stop();
      throw new Error(`PostgreSQL did not start: ${said}`);
    }
    await sleep(50);
  }
  return { url: `postgres://fromage@127.0.0.1:${port}/postgres`, stop };
}

if (import.meta.main) {
  const server = await startPostgres();
  if (!server) {
    console.error('No PostgreSQL server found (Debian: apt-get install postgresql).');
    process.exit(3);
  }
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined) {
    console.log(server.url);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.stop());
  } else {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, TEST_POSTGRES_URL: server.url } });
    child.once('exit', async (code) => {
      await server.stop();
      process.exitCode = code ?? 1;
    });
  }
}
