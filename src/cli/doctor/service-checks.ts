// What Fromage stands beside: the data folder, the database, the port, Qdrant, the platforms' tokens.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { type Config, describeConfig } from '../../config/index.ts';
import { openStore } from '../../store/index.ts';
import { bytesText } from '../models/units.ts';
import { type Check, checked } from './check.ts';

const littleRoom = 2e9;
const answerWithinMs = 3_000;
const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export function checkDataFolder({ FROMAGE_DATA_DIR: folder }: Config): Promise<Check> {
  return checked('data folder', async () => {
    const probe = join(folder, `.doctor-${process.pid}`);
    try {
      makeFolder(folder);
      writeFileSync(probe, 'x');
      rmSync(probe);
    } catch (thrown) {
      return { state: 'fail', found: `${folder} cannot be written: ${(thrown as Error).message}`, todo: 'give this user write access, or set FROMAGE_DATA_DIR' };
    }
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const found = `${folder} is writable, ${bytesText(free)} free`;
    return free < littleRoom ? { state: 'warn', found, todo: 'make room: pictures, converted weights and the database lie there' } : { state: 'ok', found };
  });
}

/** Step by step: Node's own recursion never ends in file systems like /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  mkdirSync(folder);
}

export function checkDatabase(config: Config): Promise<Check> {
  return checked('database', async () => {
    const store = await openStore({ dataDir: config.FROMAGE_DATA_DIR, ...(config.DATABASE_URL === undefined ? {} : { databaseUrl: config.DATABASE_URL }) });
    try {
      await store.check();
      return { state: 'ok', found: `${store.provider} answers and can be written${store.migrated.length > 0 ? `; ${store.migrated.length} migrations applied` : ''}` };
    } finally {
      await store.close();
    }
  });
}

export function checkPort({ PORT: port, FROMAGE_HOST: host }: Config): Promise<Check> {
  return checked('port', async () => {
    const code = await new Promise<string | null>((done) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
      server.listen(port, host, () => server.close(() => done(null)));
    });
    if (code === null) return { state: 'ok', found: port === 0 ? 'any free one is taken' : `${host}:${port} is free` };
    if (code === 'EADDRINUSE' && (await isFromage(host, port))) return { state: 'ok', found: `Fromage itself answers on ${host}:${port}` };
    return { state: 'fail', found: `${host}:${port} cannot be listened on (${code})`, todo: code === 'EADDRINUSE' ? 'stop the other program, or set PORT' : 'set PORT or FROMAGE_HOST' };
  });
}

async function isFromage(host: string, port: number): Promise<boolean> {
  const address = host.includes(':') ? `[${host}]` : host;
  const response = await fetch(`http://${address}:${port}/v1/models`, { signal: AbortSignal.timeout(answerWithinMs) }).catch(() => null);
  const text = (await response?.text().catch(() => '')) ?? '';
  return text.includes('fromage') || text.includes('starter') || response?.status === 401;
}

export function checkQdrant({ QDRANT_URL: url, QDRANT_API_KEY: key }: Config): Promise<Check> {
  return checked('qdrant', async () => {
    if (url === undefined) return { state: 'skipped', found: 'QDRANT_URL is not set: the embedded index is used' };
    const response = await fetch(new URL('/collections', url), { headers: key === undefined ? {} : { 'api-key': key }, signal: AbortSignal.timeout(answerWithinMs) }).catch((cause: Error) => cause.message);
    if (typeof response !== 'string' && response.ok) return { state: 'ok', found: 'answers' };
    return { state: 'fail', found: typeof response === 'string' ? `does not answer: ${response}` : `answers with status ${response.status}`, todo: 'start it, or check QDRANT_URL and QDRANT_API_KEY' };
  });
}

export function checkPlatform(name: string, token: string | undefined, variable: string): Promise<Check> {
  return checked(name, () => (token === undefined ? { state: 'skipped', found: `${variable} is not set: not connected` } : { state: 'ok', found: `${variable} is set; "fromage start" connects` }));
}

/** Only the tests of the page need one. */
export function checkBrowser(): Promise<Check> {
  return checked('chromium (tests only)', () => {
    const found = browsers.find((file) => existsSync(file));
    return found === undefined ? { state: 'skipped', found: 'none: the tests of the page are skipped' } : { state: 'ok', found };
  });
}

/** Every variable that is not at its default, secrets masked. */
export function listConfiguration(config: Config): Readonly<Record<string, string>> {
  const values = config as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    describeConfig().flatMap(({ name, fallback, secret }) => {
      const value = values[name];
      if (value === undefined || (String(value) === fallback && !secret)) return [];
      return [[name, secret ? '(set)' : String(value)]];
    }),
  );
}
