// A lock file beside the SQLite database: one process migrates at a time. A lock whose process is gone, or
// that nobody has touched for long, is taken over.
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { FromageError } from '../errors.ts';

const staleMs = 600_000;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in the kernel's ticks: a pid is given out again, this pair is not. '' where unknown. */
  readonly born: string;
}

function bornOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isAlive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const born = bornOf(holder.pid);
  return holder.born === '' || born === '' || born === holder.born;
}

async function isStale(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (Date.now() - mtimeMs > staleMs) return true;
    // Empty: made a moment ago and not yet written, or its writer died in between.
    if (text === '') return Date.now() - mtimeMs > 5_000;
    return !isAlive(JSON.parse(text) as Holder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}

/**
 * Runs `work` while this process alone holds the lock.
 *
 * @param waitMs how long another process is waited for (two minutes by default)
 * @throws FromageError STORE_LOCKED when it does not end in that time
 */
export async function withLockFile<T>(path: string, work: () => Promise<T>, waitMs = 120_000): Promise<T> {
  const end = performance.now() + waitMs;
  for (;;) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(JSON.stringify({ pid: process.pid, host: hostname(), born: bornOf(process.pid) } satisfies Holder));
      await handle.close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (await isStale(path)) {
        await rm(path, { force: true });
        continue;
      }
      if (performance.now() > end) {
        throw new FromageError({ code: 'STORE_LOCKED', what: 'another process has been changing the database for too long', todo: `wait for it; if no Fromage runs, delete ${path}`, retryable: true });
      }
      await sleep(50 + Math.random() * 100);
    }
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), 5_000);
  touch.unref();
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await rm(path, { force: true });
  }
}
