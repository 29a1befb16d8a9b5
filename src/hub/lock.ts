// One process at a time fetches a file. A lock file holds the process's id and is touched while it works;
// one that was not touched for a while belongs to nobody.
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const touchEveryMs = 5_000;
const abandonedAfterMs = 30_000;
const lookEveryMs = 250;

export async function withLock<T>(file: string, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  while (!take(file)) {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > abandonedAfterMs) rmSync(file, { force: true });
    else if (stat !== undefined) await pause(lookEveryMs, undefined, signal ? { signal } : {});
  }
  const timer = setInterval(() => {
    try {
      utimesSync(file, new Date(), new Date());
    } catch {
      // Gone or on a drive that was taken away: the download itself will say so.
    }
  }, touchEveryMs);
  timer.unref();
  try {
    return await action();
  } finally {
    clearInterval(timer);
    rmSync(file, { force: true });
  }
}

function take(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
}
