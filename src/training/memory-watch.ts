// The largest memory of this process while something runs. Resident memory counts a weight file once for
// every session that maps it; the proportional share (PSS) counts each page once, so that is read where
// the system tells it.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

export interface MemoryWatch {
  /** Bytes; stops watching. */
  stop(): Promise<number>;
}

/** Runs beside the thread that ONNX Runtime blocks. */
const watcher = `
const { parentPort } = require('node:worker_threads');
const { readFileSync } = require('node:fs');
let peak = 0;
const read = () => {
  const found = /^Pss:\\s+(\\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'));
  peak = Math.max(peak, Number(found?.[1] ?? 0) * 1024);
};
const timer = setInterval(read, 50);
parentPort.once('message', () => { read(); clearInterval(timer); parentPort.postMessage(peak); parentPort.close(); });
`;

export function watchMemory(): MemoryWatch {
  if (!tellsShares()) return { stop: async () => process.resourceUsage().maxRSS * 1024 };
  const worker = new Worker(watcher, { eval: true });
  return {
    stop: () =>
      new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.postMessage('stop');
      }),
  };
}

function tellsShares(): boolean {
  try {
    return readFileSync('/proc/self/smaps_rollup', 'utf8').includes('Pss:');
  } catch {
    return false;
  }
}
