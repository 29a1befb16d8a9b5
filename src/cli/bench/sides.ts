// Runs the two sides of the benchmark, each in a process of its own: ours, and the peer (bench/llama-cpp). Its packages are installed on
// first use, beside it: the project's own `npm ci` does not carry them.
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { modelProcessEnvironment } from '../../engine/index.ts';
import { FromageError } from '../../errors.ts';
import type { LoadLanguageModelOptions } from '../../model/index.ts';
import type { OursReply, OursRequest } from './ours.ts';
import type { QualityOptions } from './quality.ts';

const folder = fileURLToPath(new URL('../../../bench/llama-cpp/', import.meta.url));

/** One side, measured in tokens per second. */
export interface Side {
  /** Tokens per second over all sequences. */
  decode(batch: number, context: number, steps: number): Promise<number>;
  prefill(length: number): Promise<number>;
  close(): void;
}

export interface Peer extends Side {
  readonly name: string;
}

export interface Ours extends Side {
  readonly weights: string;
  /** Memory that the model took in its process. */
  readonly residentBytes: () => number;
  quality(options: QualityOptions): Promise<{ readonly ratio: number; readonly texts: number }>;
}

/** Our engine's language model as the engine's child runs it. */
export async function startOurs(model: LoadLanguageModelOptions): Promise<Ours> {
  const child = fork(fileURLToPath(new URL('./ours.ts', import.meta.url)), [JSON.stringify(model)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: modelProcessEnvironment(process.env) });
  await next(child);
  let resident = 0;
  const ask = async (request: OursRequest): Promise<OursReply> => {
    const answer = next<OursReply>(child);
    child.send(request);
    const reply = await answer;
    resident = Math.max(resident, 'quality' in request ? 0 : reply.residentBytes);
    return reply;
  };
  const { weights } = await ask({ prefill: 16 });
  return {
    weights,
    residentBytes: () => resident,
    decode: async (batch, context, steps) => (batch * steps * 1000) / (await ask({ decode: { batch, context, steps } })).ms,
    prefill: async (length) => (length * 1000) / (await ask({ prefill: length })).ms,
    quality: async (options) => (await ask({ quality: options })).quality ?? { ratio: Number.NaN, texts: 0 },
    close: () => child.disconnect(),
  };
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

function next<T extends { readonly ms: number } = { readonly ms: number }>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const failed = (code: number | null) => reject(new FromageError({ code: 'BENCH_PEER', what: `a side of the benchmark ended with code ${code}`, todo: 'run it again, or use --no-peer' }));
    child.once('exit', failed);
    child.once('message', (message) => {
      child.off('exit', failed);
      resolve(message as T);
    });
  });
}
