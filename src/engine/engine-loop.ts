// The engine's loop: admit, decode one step for all who talk, read prompts on in chunks, run one unit of
// other work, give the event loop its turn, again. The only place that calls the language model for
// conversations; who does what in a step is decided by the scheduler.
import { setImmediate as turn } from 'node:timers/promises';
import { asFromageError, FromageError } from '../errors.ts';
import type { KvCache, StepOutput, StepRow } from '../model/types.ts';
import type { AdapterUse } from './adapter-registry.ts';
import type { ResolvedDecoding } from './decoding/index.ts';
import type { EventStream } from './event-stream.ts';
import { FairQueue } from './fair-queue.ts';
import type { ImageFeatures } from './image-features.ts';
import { assertInvariants } from './invariants.ts';
import { logitsAt, retEmbeddingAt } from './outputs.ts';
import type { EngineParts } from './parts.ts';
import type { PrefixCache } from './prefix-cache.ts';
import { prepareSequence } from './prepare.ts';
import { type PromptRows, tokenKey } from './prompt-rows.ts';
import { planAdmission, planStep, type SchedulerLimits } from './scheduler.ts';
import { cachedKeys, createSequence, endEvent, type Prepared, type Sequence } from './sequence.ts';
import { SlotTable } from './slots.ts';
import type { EndReason, GenerateRequest } from './types.ts';
import type { WorkQueue } from './work-queue.ts';

/** What the loop works with; made once by the engine. */
export interface LoopCollaborators {
  readonly parts: EngineParts;
  readonly limits: SchedulerLimits;
  readonly maxQueue: number;
  readonly prefixes: PrefixCache;
  readonly features: ImageFeatures;
  readonly work: WorkQueue;
  /** Checks every step's snapshot (tests). */
  readonly checkInvariants: boolean;
}

/** Sums since the start. */
export interface LoopCounters {
  steps: number;
  decodeSteps: number;
  decodedRows: number;
  generatedTokens: number;
  prefilledTokens: number;
  cachedTokens: number;
}

export class EngineLoop {
  readonly counters: LoopCounters = { steps: 0, decodeSteps: 0, decodedRows: 0, generatedTokens: 0, prefilledTokens: 0, cachedTokens: 0 };
  readonly #with: LoopCollaborators;
  readonly #queue = new FairQueue<Sequence>();
  /** Sequences with a slot, in the order of admission. */
  readonly #running: Sequence[] = [];
  readonly #cache: KvCache;
  readonly #slots: SlotTable<Sequence>;
  /** Reused from token to token. */
  #logits: Float32Array | null = null;
  #wake: (() => void) | null = null;
  #awake = false;
  #stopping = false;

  constructor(collaborators: LoopCollaborators) {
    this.#with = collaborators;
    this.#cache = collaborators.parts.languageModel.createCache(collaborators.limits.maxRows + 1);
    this.#slots = new SlotTable(this.#cache);
  }

  get running(): number {
    return this.#running.length;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Takes a request into the queue.
   *
   * @throws FromageError `ENGINE_BUSY` when the queue is full, saying how many wait
   */
  submit(request: GenerateRequest, decoding: ResolvedDecoding, use: AdapterUse): EventStream {
    const { limits, maxQueue } = this.#with;
    const waiting = this.#queue.size;
    // Who only waits for the next step to take a free row is not counted.
    if (waiting >= maxQueue + Math.max(0, limits.maxRows - this.#running.length)) {
      throw new FromageError({
        code: 'ENGINE_BUSY',
        what: `${waiting} requests wait and ${this.#running.length} run; the queue takes ${maxQueue}`,
        todo: 'ask again in a moment',
        retryable: true,
        userMessage: `I am busy: ${waiting} ${waiting === 1 ? 'person is' : 'people are'} waiting already. Please try again in a moment.`,
      });
    }
    const sequence = createSequence(request, decoding, use, (wanting, reason) => this.#want(wanting, reason));
    this.#queue.push(sequence, request.conversation);
    this.#tellPositions();
    this.wake();
    return sequence.stream;
  }

  /** Ends the request of this stream at the next step border. */
  cancel(stream: EventStream): void {
    for (const sequence of [...this.#queue.list(), ...this.#running]) if (sequence.stream === stream) this.#want(sequence, 'cancelled');
  }

  wake(): void {
    this.#awake = true;
    this.#wake?.();
    this.#wake = null;
  }

  /** Fails what waits at once; what runs is cancelled when `now`, else it may end by itself. */
  stop(error: FromageError, now: boolean): void {
    this.#stopping = true;
    for (const sequence of this.#queue.list()) this.#fail(sequence, error);
    if (now) for (const sequence of this.#running) this.#want(sequence, 'cancelled');
    this.wake();
  }

  /**
   * Runs until `stop` was called and nothing runs any more.
   *
   * @throws what made the loop itself fail; every request has failed with it
   */
  async run(): Promise<void> {
    try {
      await this.#loop();
    } catch (error) {
      this.#stopping = true;
      for (const sequence of [...this.#queue.list(), ...this.#running]) this.#fail(sequence, error);
      throw error;
    }
  }

  async #loop(): Promise<void> {
    while (!(this.#stopping && this.#running.length === 0)) {
      this.#awake = false;
      this.#sweep();
      this.#prepareNext();
      this.#admit();
      const worked = await this.#step();
      const didOther = await this.#with.work.runOne();
      if (worked || didOther) await turn();
      else if (!this.#awake) await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #want(sequence: Sequence, reason: EndReason): void {
    sequence.wanted ??= reason;
    this.wake();
  }

  /** Lets those go who were cancelled or ran out of time. */
  #sweep(): void {
    for (const sequence of [...this.#queue.list(), ...this.#running]) if (sequence.wanted !== null) this.#end(sequence, sequence.wanted);
  }

  /** Encodes the pictures of the next few in the queue, so that rows are never idle for want of them. */
  #prepareNext(): void {
    const ahead = this.#queue.list().slice(0, this.#with.limits.maxRows + 1);
    for (const sequence of ahead) {
      if (sequence.preparing) continue;
      sequence.preparing = true;
      prepareSequence(sequence, this.#with.parts, this.#with.features).then(
        (prepared) => {
          sequence.prepared = prepared;
          this.wake();
        },
        (error: unknown) => this.#fail(sequence, error),
      );
    }
  }

  #admit(): void {
    if (this.#stopping) return;
    const waiting = this.#queue.list().map((id) => ({ id, ready: id.prepared !== null }));
    const admitted = planAdmission(waiting, this.#running.length, this.#with.limits);
    for (const sequence of admitted) this.#start(sequence, sequence.prepared!);
    if (admitted.length > 0) this.#tellPositions();
  }

  #start(sequence: Sequence, { prompt, droppedTurns }: Prepared): void {
    const { conversation } = sequence.request;
    this.#queue.take(sequence);
    this.#running.push(sequence);
    sequence.status = 'prefilling';
    sequence.startedAt = performance.now();
    const slot = this.#slots.allocate(sequence);
    const match = conversation === undefined ? null : this.#with.prefixes.match(conversation, prompt.keys);
    // The last position is read in any case: its logits choose the first token. A [RET] that is to be
    // served must be read too.
    const firstRet = sequence.decoding.maxNewTokens === 0 ? prompt.retPositions[0] : undefined;
    const reusable = Math.min(match?.length ?? 0, prompt.length - 1, firstRet === undefined ? prompt.length : Math.max(0, firstRet - 1));
    if (match !== null && reusable > 0) this.#cache.restore(slot, match.snapshot, reusable);
    sequence.cachedTokens = this.#cache.length(slot);
    this.counters.cachedTokens += sequence.cachedTokens;
    sequence.stream.push({ type: 'started', promptTokens: prompt.length, cachedTokens: sequence.cachedTokens, droppedTurns });
  }

  /** One plan carried out; false when there was nothing to do. */
  async #step(): Promise<boolean> {
    const decoding = this.#running.filter((sequence) => sequence.status === 'decoding');
    const prefilling = this.#running
      .filter((sequence) => sequence.status === 'prefilling')
      .map((id) => ({ id, remaining: id.prepared!.prompt.length - this.#cache.length(this.#slots.slotOf(id)), passedOver: id.passedOver }));
    if (this.#with.checkInvariants) assertInvariants({ running: this.#running, queued: this.#queue.list(), slots: this.#slots, cache: this.#cache, maxRows: this.#with.limits.maxRows });
    if (decoding.length + prefilling.length === 0) return false;
    const plan = planStep(decoding, prefilling, this.#with.limits);
    this.counters.steps++;
    if (plan.decode.length > 0) await this.#decode(plan.decode);
    for (const { id, tokens } of plan.prefill) await this.#prefill(id, tokens).catch((error: unknown) => this.#fail(id, error));
    const read = new Set(plan.prefill.map(({ id }) => id));
    for (const { id } of prefilling) id.passedOver = read.has(id) ? 0 : id.passedOver + 1;
    return true;
  }

  async #decode(sequences: readonly Sequence[]): Promise<void> {
    const { parts } = this.#with;
    const inOrder = sequences.toSorted((a, b) => this.#slots.slotOf(a) - this.#slots.slotOf(b));
    const rows = inOrder.map((sequence): StepRow => {
      const id = sequence.nextToken!;
      return { slot: this.#slots.slotOf(sequence), embeds: parts.embedTokens([id], sequence.use.adapter), select: [0] };
    });
    const output = await this.#run(rows, inOrder);
    if (output === null) return;
    this.counters.decodeSteps++;
    this.counters.decodedRows += rows.length;
    inOrder.forEach((sequence, index) => {
      sequence.fedKeys.push(tokenKey(sequence.nextToken!, sequence.use.adapter));
      this.#guard(sequence, () => this.#advance(sequence, output, index));
    });
  }

  async #prefill(sequence: Sequence, tokens: number): Promise<void> {
    const { prompt } = sequence.prepared!;
    const slot = this.#slots.slotOf(sequence);
    const start = this.#cache.length(slot);
    const end = Math.min(prompt.length, start + tokens);
    const served = sequence.decoding.maxNewTokens === 0;
    const last = end === prompt.length && !served ? [end - 1] : [];
    const rets = served ? servedRets(prompt, sequence.decoding.maxNumRets) : [];
    const select = served ? [...new Set(rets.flatMap((at) => [at - 1, at]))].filter((at) => at >= start && at < end) : last;
    const output = await this.#run([{ slot, embeds: prompt.embeds(start, end), select: select.map((at) => at - start) }], [sequence]);
    if (output === null) return;
    this.counters.prefilledTokens += end - start;
    if (served) this.#servePromptRets(sequence, output, select, rets);
    if (end < prompt.length) return;
    if (served) {
      this.#end(sequence, 'length');
      return;
    }
    this.#slots.promote(sequence);
    sequence.status = 'decoding';
    this.#advance(sequence, output, 0);
  }

  /** Runs rows; a failure ends their requests and no others. */
  async #run(rows: readonly StepRow[], sequences: readonly Sequence[]): Promise<StepOutput | null> {
    try {
      return await this.#with.parts.languageModel.step(this.#cache, rows);
    } catch (error) {
      for (const sequence of sequences) this.#fail(sequence, error);
      return null;
    }
  }

  /** What goes wrong with one sequence is its own failure. */
  #guard(sequence: Sequence, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(sequence, error);
    }
  }

  /** Takes the output of the sequence's last position: serves a [RET] that was fed, then chooses what is next. */
  #advance(sequence: Sequence, output: StepOutput, index: number): void {
    const { answer } = sequence.prepared!;
    const { adapter } = sequence.use;
    const { contextWindow, vocabSize } = this.#with.parts.languageModel.config;
    const columns = this.#cache.length(this.#slots.slotOf(sequence));
    if (answer.pendingRet !== null) {
      sequence.stream.push({ type: 'ret', embedding: retEmbeddingAt(output, index, adapter, vocabSize), ...answer.pendingRet });
      answer.pendingRet = null;
    }
    if (columns >= contextWindow) answer.reason ??= 'length';
    if (answer.reason === null) {
      this.#logits = logitsAt(output, index, adapter, vocabSize, this.#logits);
      sequence.nextToken = answer.advance(this.#logits);
      this.counters.generatedTokens++;
      if (sequence.firstTokenAt === 0) sequence.firstTokenAt = performance.now();
    }
    // A [RET] is fed even when it is the last token: its own position gives the retrieval embedding.
    if (answer.reason !== null && answer.pendingRet === null) this.#end(sequence, answer.reason);
  }

  #servePromptRets(sequence: Sequence, output: StepOutput, select: readonly number[], rets: readonly number[]): void {
    const { adapter } = sequence.use;
    const { vocabSize } = this.#with.parts.languageModel.config;
    const { answer } = sequence.prepared!;
    for (const at of rets) {
      const index = select.indexOf(at);
      if (index < 0) continue;
      const before = select.indexOf(at - 1);
      const probability = before < 0 ? 0 : answer.noteRetProbability(logitsAt(output, before, adapter, vocabSize));
      sequence.stream.push({ type: 'ret', embedding: retEmbeddingAt(output, index, adapter, vocabSize), after: 0, probability });
    }
  }

  #end(sequence: Sequence, reason: EndReason): void {
    sequence.prepared?.answer.finish();
    this.#keepPrefix(sequence);
    this.#leave(sequence);
    sequence.stream.push(endEvent(sequence, reason));
  }

  #fail(sequence: Sequence, error: unknown): void {
    if (sequence.status === 'ended') return;
    this.#leave(sequence);
    sequence.stream.fail(asFromageError(error));
  }

  #keepPrefix(sequence: Sequence): void {
    const { conversation } = sequence.request;
    if (conversation === undefined || !this.#with.prefixes.enabled || !this.#running.includes(sequence)) return;
    const slot = this.#slots.slotOf(sequence);
    const columns = this.#cache.length(slot);
    if (columns === 0) return;
    this.#with.prefixes.store(conversation, cachedKeys(sequence, columns), this.#cache.snapshot(slot, columns));
  }

  /** Gives back whatever the sequence holds. */
  #leave(sequence: Sequence): void {
    const at = this.#running.indexOf(sequence);
    if (at >= 0) {
      this.#running.splice(at, 1);
      this.#slots.release(sequence);
    } else {
      this.#queue.remove(sequence);
    }
    sequence.status = 'ended';
    sequence.dispose();
    this.#tellPositions();
    this.wake();
  }

  #tellPositions(): void {
    this.#queue.list().forEach((sequence, index) => {
      if (sequence.toldPosition === index + 1) return;
      sequence.toldPosition = index + 1;
      sequence.stream.push({ type: 'queued', position: index + 1 });
    });
  }
}

/** Positions of the [RET] tokens in a prompt that are served. */
function servedRets(prompt: PromptRows, maxNumRets: number): readonly number[] {
  return prompt.retPositions.slice(0, maxNumRets);
}
