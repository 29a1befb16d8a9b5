// The engine's own process: loads the model, runs an engine in itself, and speaks with the parent. A
// native crash ends this process and nothing else; the parent's end ends it too.
import { asFromageError, FromageError, type PlainError } from '../errors.ts';
import { createEngine } from './in-process.ts';
import type { EngineParts } from './parts.ts';
import type { CallMethod, FailedPicture, FromChild, RequestNews, StartMessage, ToChild } from './protocol.ts';
import type { Engine, GenerateEvent, GenerateRequest } from './types.ts';

// A Ctrl-C in a terminal reaches the whole group; the parent decides when this process ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(0));

let engine: Engine | null = null;
const running = new Map<number, AbortController>();
/** News that leave together at the end of this turn of the event loop. */
let outbox = new Map<number, { events: GenerateEvent[]; error?: PlainError }>();

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'start':
      void start(message);
      break;
    case 'generate':
      void generate(message.id, message.request);
      break;
    case 'cancel':
      running.get(message.id)?.abort();
      break;
    case 'call':
      void answer(message.id, message.method, message.args);
      break;
    case 'close':
      void close();
      break;
    default:
      message satisfies never;
  }
});

async function start({ partsModule, spec, options, adapters, serving }: StartMessage): Promise<void> {
  try {
    const { loadParts } = (await import(partsModule)) as { loadParts(spec: unknown, onProgress: (done: number) => void): Promise<EngineParts> };
    engine = createEngine(await loadParts(spec, progressReporter()), options);
    for (const { folder, id } of adapters) await engine.loadAdapter(folder, id);
    if (serving !== null) await engine.serveAdapter(serving);
    // Templates are compiled and memory is touched now, not while the first person waits.
    await engine.embedPrompts([{ kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: 'Hello' }] }] }]).catch(() => {});
    send({ type: 'ready', info: await engine.info() });
  } catch (error) {
    send({ type: 'failed', error: asFromageError(error).toPlain() }, () => process.exit(1));
  }
}

/** A few messages a second at most. */
function progressReporter(): (done: number) => void {
  let last = 0;
  return (done) => {
    const now = performance.now();
    if (now - last < 100) return;
    last = now;
    send({ type: 'progress', done });
  };
}

async function generate(id: number, request: GenerateRequest): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    for await (const event of loaded().generate({ ...request, signal: controller.signal })) tell(id).events.push(event);
  } catch (error) {
    tell(id).error = plain(error);
  } finally {
    running.delete(id);
  }
}

async function answer(id: number, method: CallMethod, args: readonly unknown[]): Promise<void> {
  try {
    const value = await call(loaded(), method, args);
    send({ type: 'result', id, value });
  } catch (error) {
    send({ type: 'rejected', id, error: plain(error) });
  }
}

async function call(target: Engine, method: CallMethod, args: readonly unknown[]): Promise<unknown> {
  if (method === 'encodeImages') {
    const results = await target.encodeImages(...(args as Parameters<Engine['encodeImages']>));
    return results.map((result): Float32Array | FailedPicture => (result instanceof Error ? { failed: plain(result) } : result));
  }
  const run = target[method] as (...given: readonly unknown[]) => Promise<unknown>;
  return run.apply(target, [...args]);
}

async function close(): Promise<void> {
  await engine?.close();
  flush();
  process.disconnect();
}

function loaded(): Engine {
  if (engine === null) throw new FromageError({ code: 'ENGINE_CRASHED', what: 'a request came before the model was loaded', retryable: true });
  return engine;
}

function tell(id: number): { events: GenerateEvent[]; error?: PlainError } {
  if (outbox.size === 0) setImmediate(flush);
  let news = outbox.get(id);
  if (news === undefined) outbox.set(id, (news = { events: [] }));
  return news;
}

function flush(): void {
  if (outbox.size === 0) return;
  const news: RequestNews[] = [...outbox].map(([id, { events, error }]) => ({ id, events, ...(error === undefined ? {} : { error }) }));
  outbox = new Map();
  send({ type: 'news', news });
}

/** An engine that stopped by itself is of no use: the parent starts another process. */
function plain(error: unknown): PlainError {
  const known = asFromageError(error);
  if (known.code === 'ENGINE_BROKEN') setTimeout(() => process.exit(1), 50);
  return known.toPlain();
}

function send(message: FromChild, then: () => void = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
  else then();
}
