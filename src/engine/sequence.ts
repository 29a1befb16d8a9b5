// One request on its way through the engine, from the queue to its last event. The engine loop moves it;
// what it says is the answer's matter.
import type { AdapterUse } from './adapter-registry.ts';
import type { Answer } from './answer.ts';
import { randomSeed, type ResolvedDecoding } from './decoding/index.ts';
import { EventStream } from './event-stream.ts';
import type { PositionKey } from './prefix-cache.ts';
import type { PromptRows } from './prompt-rows.ts';
import type { EndReason, GenerateEvent, GenerateRequest } from './types.ts';

/**
 * `waiting` in the queue, its prompt perhaps not laid out yet; `prefilling` and `decoding` with a slot;
 * `ended` with its last event sent.
 */
export type SequenceStatus = 'waiting' | 'prefilling' | 'decoding' | 'ended';

export interface Prepared {
  readonly prompt: PromptRows;
  readonly droppedTurns: number;
  readonly answer: Answer;
}

export interface Sequence {
  readonly request: GenerateRequest;
  readonly decoding: ResolvedDecoding;
  readonly seed: number;
  readonly use: AdapterUse;
  readonly stream: EventStream;
  readonly arrivedAt: number;
  status: SequenceStatus;
  /** The way out that somebody asked for; taken at the next step border. */
  wanted: EndReason | null;
  /** True once preparation has begun: pictures encoded, prompt laid out. */
  preparing: boolean;
  prepared: Prepared | null;
  /** Last place in the queue that was told; 0 before the first. */
  toldPosition: number;
  startedAt: number;
  firstTokenAt: number;
  cachedTokens: number;
  /** Steps in which its prompt was passed over. */
  passedOver: number;
  /** Chosen, not yet fed. */
  nextToken: number | null;
  /** What stands in the cache beyond the prompt. */
  readonly fedKeys: PositionKey[];
  /** Undoes timers and listeners. */
  dispose: () => void;
}

/** @param want told when the deadline passes or the caller aborts */
export function createSequence(request: GenerateRequest, decoding: ResolvedDecoding, use: AdapterUse, want: (sequence: Sequence, reason: EndReason) => void): Sequence {
  const { deadlineMs, signal } = request;
  const onAbort = (): void => want(sequence, 'cancelled');
  const timer = deadlineMs === undefined ? undefined : setTimeout(() => want(sequence, 'deadline'), Math.min(deadlineMs, 0x7fff_ffff));
  const sequence: Sequence = {
    request,
    decoding,
    use,
    seed: request.seed ?? randomSeed(),
    stream: new EventStream(),
    arrivedAt: performance.now(),
    status: 'waiting',
    wanted: signal?.aborted ? 'cancelled' : null,
    preparing: false,
    prepared: null,
    toldPosition: 0,
    startedAt: 0,
    firstTokenAt: 0,
    cachedTokens: 0,
    passedOver: 0,
    nextToken: null,
    fedKeys: [],
    dispose: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      use.release();
    },
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  return sequence;
}

/** Keys of the columns that the sequence has in the cache, given their number. */
export function cachedKeys({ prepared, fedKeys }: Sequence, columns: number): readonly PositionKey[] {
  return [...(prepared?.prompt.keys ?? []), ...fedKeys].slice(0, columns);
}

export function endEvent(sequence: Sequence, reason: EndReason): GenerateEvent {
  const { prepared, seed, use, arrivedAt, startedAt, firstTokenAt, cachedTokens } = sequence;
  const now = performance.now();
  return {
    type: 'end',
    reason,
    text: prepared?.answer.text ?? '',
    tokenIds: prepared?.answer.tokenIds ?? [],
    seed,
    adapter: use.adapter.id,
    retProbability: prepared?.answer.retProbability ?? 0,
    usage: {
      promptTokens: prepared?.prompt.length ?? 0,
      cachedTokens,
      newTokens: prepared?.answer.tokenIds.length ?? 0,
      droppedTurns: prepared?.droppedTurns ?? 0,
      queuedMs: (startedAt || now) - arrivedAt,
      firstTokenMs: (firstTokenAt || now) - arrivedAt,
      totalMs: now - arrivedAt,
    },
  };
}
