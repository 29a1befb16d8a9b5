// Turns what Prisma, the drivers and the file system throw into errors with a code and a way out. Nothing
// of a statement's values is repeated: they may be somebody's words.
import { FromageError } from '../errors.ts';

/** What may be known of a failure, gathered from an error and its causes. */
interface Trace {
  readonly codes: ReadonlySet<string>;
  readonly message: string;
}

function traceOf(thrown: unknown): Trace {
  const codes = new Set<string>();
  let message = '';
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value) || seen.size > 12) return;
    seen.add(value);
    const fact = value as Record<string, unknown>;
    for (const name of ['code', 'originalCode', 'kind']) if (typeof fact[name] === 'string') codes.add(fact[name]);
    if (message === '' && typeof fact['originalMessage'] === 'string') message = fact['originalMessage'];
    for (const name of ['cause', 'meta', 'driverAdapterError']) visit(fact[name]);
  };
  visit(thrown);
  return { codes, message: message || (thrown instanceof Error ? (thrown.message.split('\n').at(-1) ?? '') : String(thrown)) };
}

const has = (trace: Trace, ...codes: string[]) => codes.some((code) => [...trace.codes].some((one) => one === code || one.startsWith(`${code}_`)));

/** True when another transaction was in the way and the same one may succeed now. */
export function isConflictOfTransactions(thrown: unknown): boolean {
  const trace = traceOf(thrown);
  return has(trace, 'P2034', 'P1008', 'TransactionWriteConflict', '40001', '40P01', 'SQLITE_BUSY');
}

/** True when a unique key was already there. */
export function isDuplicate(thrown: unknown): boolean {
  return has(traceOf(thrown), 'P2002', 'UniqueConstraintViolation');
}

/** Any failure of database or disk as a FromageError; one of ours passes unchanged. */
export function asStoreError(thrown: unknown): FromageError {
  if (thrown instanceof FromageError) return thrown;
  const trace = traceOf(thrown);
  const cause = thrown;
  if (has(trace, 'SQLITE_FULL', 'ENOSPC', 'EDQUOT', '53100')) {
    return new FromageError({ code: 'STORE_DISK_FULL', what: 'the disk is full: nothing was written', todo: 'free space on the disk that holds the data folder, then try again', retryable: true, cause });
  }
  if (has(trace, 'EFBIG')) {
    return new FromageError({ code: 'STORE_DISK_FULL', what: 'a file reached the largest size that this process may write', todo: 'raise the limit (ulimit -f) or free space, then try again', retryable: true, cause });
  }
  if (has(trace, 'SQLITE_READONLY', 'EROFS', 'EACCES', 'EPERM', '25006', '42501')) {
    return new FromageError({ code: 'STORE_READ_ONLY', what: 'the data folder or its database cannot be written', todo: 'give this user write access to the data folder (all of it: the database needs files beside it), or mount it writable', cause });
  }
  if (has(trace, 'SQLITE_CORRUPT', 'SQLITE_NOTADB')) {
    return new FromageError({ code: 'STORE_DAMAGED', what: 'the database file is damaged or no SQLite database', todo: 'put back a backup (backups/ in the data folder) or a copy of your own', cause });
  }
  if (has(trace, 'SQLITE_CANTOPEN', 'ENOENT', 'ENOTDIR', 'EEXIST')) {
    return new FromageError({ code: 'STORE_OPEN', what: 'the database or a picture file cannot be opened', why: trace.message, todo: 'check that the data folder exists and is a local folder', cause });
  }
  if (has(trace, 'SQLITE_IOERR', 'EIO')) {
    return new FromageError({ code: 'STORE_DISK', what: 'the disk refused to read or write', why: trace.message, todo: 'look at the disk (dmesg, free space, quota, network mounts), then start again', retryable: true, cause });
  }
  if (has(trace, 'P1000', 'AuthenticationFailed', '28P01', '28000')) {
    return new FromageError({ code: 'STORE_LOGIN', what: 'the database refused user or password', todo: 'check DATABASE_URL', cause });
  }
  if (has(trace, 'P1001', 'P1002', 'P1017', 'ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'DatabaseNotReachable', 'ConnectionClosed', '57P01', '57P03', '08006', '08001')) {
    return new FromageError({ code: 'STORE_UNREACHABLE', what: 'the database does not answer', todo: 'start it, or check DATABASE_URL', retryable: true, cause });
  }
  if (isConflictOfTransactions(thrown) || has(trace, 'P2028')) {
    return new FromageError({ code: 'STORE_BUSY', what: 'the database was too busy to take the change', todo: 'try again; if it lasts, fewer processes on one SQLite file, or PostgreSQL', retryable: true, cause });
  }
  if (has(trace, 'P2002', 'UniqueConstraintViolation')) {
    return new FromageError({ code: 'STORE_CONFLICT', what: 'an entry of that key is there already', cause });
  }
  if (has(trace, 'P2003', 'P2025', 'ForeignKeyConstraintViolation')) {
    return new FromageError({ code: 'STORE_REFERENCE', what: 'the entry belongs to something that does not exist (any more)', cause });
  }
  return new FromageError({ code: 'STORE_FAILED', what: 'the database refused a statement', why: trace.codes.size > 0 ? [...trace.codes].join(', ') : trace.message, todo: 'report this as a bug with the log around it', cause });
}
