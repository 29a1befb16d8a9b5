// A thread that rewrites the SQLite file without what was deleted. VACUUM leaves out the slack that
// secure_delete cannot reach (pages that were rebuilt), the checkpoint empties the write-ahead log; a reader
// in another process can hold the log, then it is tried again.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { connectSqlite } from './sqlite-connection.ts';

const { file } = workerData as { file: string };
const patienceMs = 30_000;

const connection = await connectSqlite(file);
try {
  // The copy that VACUUM makes meanwhile may be larger than memory.
  await connection.executeScript('PRAGMA temp_store = FILE; VACUUM;');
  let isEmpty = false;
  for (const end = performance.now() + patienceMs; !isEmpty && performance.now() < end; await sleep(25)) {
    const { rows } = await connection.queryRaw({ sql: 'PRAGMA wal_checkpoint(TRUNCATE)', args: [], argTypes: [] });
    isEmpty = Number(rows[0]?.[0] ?? 1) === 0;
  }
  parentPort?.postMessage({ isEmpty });
} finally {
  await connection.dispose();
}
