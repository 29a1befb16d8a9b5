// The embedded index's own thread: holds the matrix and answers one message at a time, in order, so that
// a search over a million rows never holds up the conversations.
import { parentPort, workerData } from 'node:worker_threads';
import { asFromageError } from '../../errors.ts';
import { MatrixIndex } from './matrix-index.ts';
import type { WorkerCall, WorkerReply } from './protocol.ts';

const { dim, threads } = workerData as { dim: number; threads: number | undefined };
const index = await MatrixIndex.open(dim, threads);

async function answer(call: WorkerCall): Promise<WorkerReply['result']> {
  switch (call.type) {
    case 'upsert':
      return index.upsert(call.points);
    case 'delete':
      return index.delete(call.ids);
    case 'count':
      return index.count(call.filter);
    case 'ids':
      return index.ids(call.after, call.limit);
    case 'vectors':
      return index.vectors(call.ids);
    case 'query':
      return await index.query(call.queries);
  }
}

let last: Promise<void> = Promise.resolve();
parentPort?.on('message', ({ id, call }: { id: number; call: WorkerCall }) => {
  last = last.then(async () => {
    try {
      parentPort?.postMessage({ id, result: await answer(call) });
    } catch (error) {
      parentPort?.postMessage({ id, error: asFromageError(error).toPlain() });
    }
  });
});
