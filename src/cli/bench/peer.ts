// Runs the benchmark's peer (bench/llama-cpp) in a process of its own. Its packages are installed on
// first use, beside it: the project's own `npm ci` does not carry them.
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FromageError } from '../../errors.ts';

const folder = fileURLToPath(new URL('../../../bench/llama-cpp/', import.meta.url));

export interface Peer {
  readonly name: string;
  /** Tokens per second over all sequences. */
  decode(batch: number, context: number, steps: number): Promise<number>;
  prefill(length: number): Promise<number>;
  close(): void;
}

/** @throws FromageError `BENCH_PEER` when it cannot be installed or does not start */
export async function startPeer(gguf: string, threads: number, say: (line: string) => void): Promise<Peer> {
  if (!existsSync(`${folder}node_modules/node-llama-cpp`)) {
    say('installing the peer (once) …');
    await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, maxBuffer: 2 ** 26 }).catch((cause: Error) => {
      throw new FromageError({ code: 'BENCH_PEER', what: 'the peer of the benchmark could not be installed', why: cause.message.split('\n')[0] ?? '', todo: 'run "npm ci" in bench/llama-cpp, or use --no-peer', cause });
    });
  }
  const child = fork(`${folder}peer.mjs`, [gguf, String(threads)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await next(child);
  const ask = async (message: object): Promise<number> => {
    const answer = next(child);
    child.send(message);
    return (await answer).ms;
  };
  return {
    name: 'node-llama-cpp',
    decode: async (batch, context, steps) => (batch * steps * 1000) / (await ask({ batch, context, steps })),
    prefill: async (length) => (length * 1000) / (await ask({ prefill: length })),
    close: () => child.disconnect(),
  };
}

function next(child: ChildProcess): Promise<{ ms: number }> {
  return new Promise((resolve, reject) => {
    const failed = (code: number | null) => reject(new FromageError({ code: 'BENCH_PEER', what: `the peer of the benchmark ended with code ${code}`, todo: 'run it again, or use --no-peer' }));
    child.once('exit', failed);
    child.once('message', (message) => {
      child.off('exit', failed);
      resolve(message as { ms: number });
    });
  });
}
