// Answers of a run as they come, a JSON line each, so that a run that was stopped goes on where it was.
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FromageError } from '../../errors.ts';

export interface Journal<T> {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
  /** Answers found from before. */
  readonly found: number;
}

export interface JournalOptions {
  readonly cacheDir?: string | undefined;
  /** Without it the journal begins anew. */
  readonly resume?: boolean | undefined;
}

/**
 * @param name of the task
 * @param setting all that the answers depend on; another setting is another file
 */
export function openJournal<T>(name: string, setting: unknown, { cacheDir, resume }: JournalOptions): Journal<T> {
  const values = new Map<string, T>();
  if (cacheDir === undefined) return { get: (key) => values.get(key), set: (key, value) => void values.set(key, value), found: 0 };
  const folder = join(cacheDir, 'evaluation');
  const file = join(folder, `${name}-${createHash('sha256').update(JSON.stringify(setting)).digest('hex').slice(0, 24)}.jsonl`);
  try {
    mkdirSync(folder, { recursive: true });
    if (resume) readLines(file, values);
    // Written again, so that a torn last line is gone.
    writeFileSync(file, [...values].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  } catch (cause) {
    throw new FromageError({ code: 'EVALUATION_CACHE', what: `${file} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'remove it, or name another FROMAGE_DATA_DIR', cause });
  }
  const found = values.size;
  return {
    get: (key) => values.get(key),
    set(key, value) {
      values.set(key, value);
      appendFileSync(file, `${JSON.stringify([key, value])}\n`);
    },
    found,
  };
}

function readLines<T>(file: string, values: Map<string, T>): void {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const line of text.split('\n')) {
    try {
      const [key, value] = JSON.parse(line) as [string, T];
      values.set(key, value);
    } catch {
      // A line that was being written when the run ended.
    }
  }
}
