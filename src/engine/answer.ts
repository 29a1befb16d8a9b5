// The growing answer of one sequence: which token comes next, what text may be shown, where [RET] stands,
// and why the answer ends. Knows no model: it is handed logits, and hands back ids and events.
import { createProcessors, createRandom, endsInLoop, type LogitsProcessor, probabilityOf, type ResolvedDecoding, sampleToken, StopStrings } from './decoding/index.ts';
import type { AnswerEnds } from './answer-ends.ts';
import type { TextStream } from './parts.ts';
import type { EndReason } from './types.ts';

export interface AnswerOptions {
  readonly decoding: ResolvedDecoding;
  readonly ends: AnswerEnds;
  readonly endTokenIds: readonly number[];
  readonly retTokenId: number;
  readonly seed: number;
  readonly textStream: TextStream;
  /** Told each piece of text that may be shown. */
  readonly onText: (text: string) => void;
}

/** A [RET] whose hidden state is not there yet. */
export interface PendingRet {
  readonly after: number;
  readonly probability: number;
}

export class Answer {
  readonly tokenIds: number[] = [];
  text = '';
  rets = 0;
  /** Highest probability of [RET] at any step, before processing. */
  retProbability = 0;
  /** Why nothing more is generated; null while something may come. */
  reason: EndReason | null = null;
  /** Set between the choice of [RET] and its hidden state. */
  pendingRet: PendingRet | null = null;
  readonly #options: AnswerOptions;
  readonly #processors: readonly LogitsProcessor[];
  readonly #random: (() => number) | null;
  readonly #endTokenIds: ReadonlySet<number>;
  readonly #stops: StopStrings;
  readonly #styleStops: StopStrings;
  #said = false;
  #stopped = false;

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#processors = createProcessors(options.decoding, options.retTokenId);
    this.#random = options.decoding.temperature > 0 ? createRandom(options.seed) : null;
    this.#endTokenIds = new Set(options.endTokenIds);
    this.#stops = new StopStrings(options.decoding.stop);
    this.#styleStops = new StopStrings(options.ends.stops);
  }

  /**
   * Chooses the next token and takes it into the answer.
   *
   * @param logits `[vocabulary with [RET]]` of the last position; changed in place
   * @returns the token's id. It must be fed to the model next, unless `reason` is set and it is not [RET].
   */
  advance(logits: Float32Array): number {
    const { decoding, retTokenId } = this.#options;
    const probability = this.noteRetProbability(logits);
    let id = retTokenId;
    if (!(decoding.forceRet && this.tokenIds.length === 0)) {
      const state = { step: this.tokenIds.length, tokenIds: this.tokenIds, rets: this.rets };
      for (const process of this.#processors) process(logits, state);
      id = sampleToken(logits, this.#random);
    }
    this.#take(id, probability);
    return id;
  }

  /** How likely [RET] was before any processing. */
  noteRetProbability(logits: Float32Array): number {
    const probability = probabilityOf(logits, this.#options.retTokenId);
    this.retProbability = Math.max(this.retProbability, probability);
    return probability;
  }

  /** Shows what is still held back; called once at the end. An unfinished code point is dropped. */
  finish(): void {
    if (!this.#stopped) this.#release();
  }

  #take(id: number, probability: number): void {
    const { decoding, ends, retTokenId, textStream } = this.#options;
    this.tokenIds.push(id);
    if (id === retTokenId) {
      // No stop text reaches across a picture.
      this.#release();
      this.rets++;
      this.#said = true;
      this.pendingRet = { after: this.text.length, probability };
      if (ends.atLastRet && this.rets >= decoding.maxNumRets) this.reason = 'stop';
    } else if (this.#endTokenIds.has(id)) {
      this.reason = 'stop';
    } else {
      this.#say(textStream.push(id));
    }
    if (this.reason === null && decoding.stopLoops && id !== retTokenId && endsInLoop(this.tokenIds)) this.reason = 'stop';
    if (this.reason === null && this.tokenIds.length >= decoding.maxNewTokens) this.reason = 'length';
  }

  #say(piece: string): void {
    const result = this.#stops.push(piece);
    if (this.#passStyle(result.text) || result.stopped) {
      this.reason = 'stop';
      this.#stopped = true;
    }
  }

  /** True when a stop text of the style was found. White space before the first word is no end. */
  #passStyle(text: string): boolean {
    let rest = text;
    if (!this.#said) {
      const blank = text.length - text.trimStart().length;
      this.#show(text.slice(0, blank));
      rest = text.slice(blank);
      if (rest === '') return false;
      this.#said = true;
    }
    const result = this.#styleStops.push(rest);
    this.#show(result.text);
    return result.stopped;
  }

  #release(): void {
    if (!this.#passStyle(this.#stops.flush())) this.#show(this.#styleStops.flush());
  }

  #show(text: string): void {
    if (text === '') return;
    this.text += text;
    this.#options.onText(text);
  }
}
