// The peer of the benchmark in a process of its own: node-llama-cpp on the same GGUF with the same
// threads. Answers one message at a time: {batch, context, steps} measures decoding, {prefill} a prompt.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [, , modelPath, threadCount] = process.argv;
const threads = Number(threadCount);
const maxSequences = 8;

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({ sequences: maxSequences, contextSize: 1024, batchSize: 512, threads });
const sequences = Array.from({ length: maxSequences }, () => context.getSequence());

/** Token ids of no meaning, different in each row. */
function ids(count, seed) {
  return Array.from({ length: count }, (_, i) => 1000 + ((i * 7919 + seed * 104729) % 40000));
}

async function decode(batch, contextLength, steps) {
  const rows = sequences.slice(0, batch);
  await Promise.all(rows.map(async (sequence, row) => {
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(ids(contextLength - 1, row));
  }));
  // The first token of each row carries the start of the generator: it is not timed.
  const streams = rows.map((sequence, row) => sequence.evaluate(ids(1, row + 100), { temperature: 0, yieldEogToken: true }));
  await Promise.all(streams.map((stream) => stream.next()));
  const began = performance.now();
  await Promise.all(streams.map(async (stream) => {
    for (let i = 0; i < steps; i++) await stream.next();
  }));
  const elapsed = performance.now() - began;
  await Promise.all(streams.map((stream) => stream.return()));
  return elapsed;
}

async function prefill(length) {
  const [sequence] = sequences;
  await sequence.clearHistory();
  const began = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids(length, 7));
  return performance.now() - began;
}

process.on('message', async (message) => {
  const ms = message.prefill ? await prefill(message.prefill) : await decode(message.batch, message.context, message.steps);
  process.send({ ms, residentBytes: process.memoryUsage().rss });
});
process.on('disconnect', () => process.exit(0));
process.send({ ready: true });
