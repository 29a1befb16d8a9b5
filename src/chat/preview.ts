// Shows an answer while it grows: the text as one message that is edited, or as a draft where the platform
// has them, never faster than the platform likes. At a picture everything up to it is complete and is sent,
// in messages of its own: at once when words follow, else after a moment in which another picture may join
// it. What stands there at the end is turned into the finished answer, which goes by the outbox.
import { type Scene, sendRow, targetOf } from './desk.ts';
import { previewSuffix } from './delivery.ts';
import { nativeId } from './directory.ts';
import { type BytesOf, DeliveryError, keepPictures, type OutUnit, type StreamRule } from './platform.ts';
import { Interrupted, type Interruption } from './running.ts';
import type { Reply } from './types.ts';

/** One unit of an answer that stands on the platform: a message, or an album. */
export interface Standing {
  readonly messageIds: readonly string[];
  readonly form: string;
  /** What it shows; null when that is not known (an earlier process sent it). */
  readonly unit: OutUnit | null;
}

export interface PreviewOptions {
  readonly replyTo: string | undefined;
  readonly signal: AbortSignal;
  readonly bytesOf: BytesOf;
  /** What stands there already and is to become the answer. */
  readonly standing?: readonly Standing[];
}

interface Growth {
  readonly reply: Reply;
  /** How many of its parts will not change any more. */
  readonly complete: number;
  /** When the complete parts may be shown, milliseconds. */
  readonly from: number;
}

/** Longest wait for a message that was on its way when the answer was interrupted. */
const settleMs = 1_000;
/** So long pictures wait for those of a [RET] that follows at once: an album cannot take them in later. */
const joinMs = 400;

export class Preview {
  readonly #scene: Scene;
  readonly #options: PreviewOptions;
  readonly #rule: StreamRule;
  readonly #units: Standing[];
  #wanted: Growth | null = null;
  #complete = 0;
  #draft = '';
  #changedAt = 0;
  #work: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #begun = false;
  #noticed = false;
  #recovered = false;
  /** Sent, and not known whether it arrived. */
  #inFlight: { readonly key: string; readonly unit: OutUnit } | null = null;
  #over = false;

  constructor(scene: Scene, options: PreviewOptions) {
    this.#scene = scene;
    this.#options = options;
    this.#units = [...(options.standing ?? [])];
    const rule = scene.platform.streamRule(scene.place);
    this.#rule = scene.settings.streaming ? rule : { mode: 'none', intervalMs: rule.intervalMs };
  }

  /** Why the answer was ended early, if it was. */
  get interruption(): Interruption | null {
    const { aborted, reason } = this.#options.signal as AbortSignal & { reason: unknown };
    return aborted ? (reason instanceof Interrupted ? reason.why : 'stopped') : null;
  }

  /** The answer has grown to this; its first `complete` parts will not change any more. */
  grow(reply: Reply, complete: number): void {
    if (this.#over || (this.#rule.mode === 'none' && !this.#noticed)) return;
    this.#begun = true;
    const mayBeJoined = complete === reply.parts.length;
    this.#wanted = { reply, complete, from: mayBeJoined ? Date.now() + joinMs : 0 };
    this.#schedule();
  }

  /** A sentence that is worth a message of its own, though the answer will take its place. */
  async notice(reply: Reply): Promise<void> {
    if (this.#over || this.#begun) return;
    this.#noticed = true;
    await this.#work;
    const unit = this.#scene.platform.render(reply)[0];
    if (unit) await this.#showUnit(0, unit);
    this.#changedAt = Date.now();
  }

  /** Ends all showing and gives what is to be replaced, that from before a crash included. */
  async settle(): Promise<readonly Standing[]> {
    this.#over = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#work;
    await this.#recover();
    if (this.#inFlight) {
      const { key, unit } = this.#inFlight;
      const messageIds = await this.#scene.delivery.previousSend(key, AbortSignal.timeout(settleMs));
      if (messageIds.length > 0) this.#units.push({ messageIds, form: unit.form, unit });
      this.#inFlight = null;
    }
    return this.#units;
  }

  #schedule(): void {
    if (this.#work || this.#over || !this.#wanted) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const { complete, from } = this.#wanted;
    // Text waits for its time; a picture does not.
    const wait = (complete > this.#complete ? from : this.#changedAt + this.#rule.intervalMs) - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#schedule(), wait);
      return;
    }
    const growth = this.#wanted;
    this.#wanted = null;
    this.#complete = growth.complete;
    this.#work = this.#show(growth).finally(() => {
      this.#work = null;
      this.#changedAt = Math.max(this.#changedAt, Date.now());
      this.#schedule();
    });
  }

  async #show({ reply, complete }: Growth): Promise<void> {
    const { platform } = this.#scene;
    try {
      const done = complete === 0 ? [] : platform.render({ ...reply, parts: reply.parts.slice(0, complete), complete: true });
      for (const [i, unit] of done.entries()) await this.#showUnit(i, unit);
      if (reply.parts.length > complete) await this.#showGrowing(reply, complete, done.length);
    } catch (error) {
      // The whole answer is still to come; a preview that fails is let go.
      if (error instanceof DeliveryError && error.outcome === 'retry') this.#changedAt = Date.now() + error.retryInMs;
      else this.#over = true;
    }
  }

  async #showGrowing(reply: Reply, complete: number, at: number): Promise<void> {
    const { platform, place, event } = this.#scene;
    if (this.#rule.mode !== 'draft' || !platform.draft || this.#units[at]) {
      const unit = platform.render(reply)[at];
      if (unit) await this.#showUnit(at, unit);
      return;
    }
    const text = reply.parts.slice(complete).map((part) => (part.type === 'text' ? part.text : '')).join('\n').trim();
    if (text !== '' && text !== this.#draft) await platform.draft(place, draftId(event.id), text);
    this.#draft = text;
  }

  async #showUnit(at: number, unit: OutUnit): Promise<void> {
    await this.#recover();
    const { platform, delivery } = this.#scene;
    const { signal, bytesOf } = this.#options;
    const here = this.#units[at];
    if (!here) {
      const key = this.#keyOf(at, unit.form === this.#textForm()?.form);
      this.#inFlight = { key, unit };
      const row = sendRow(this.#scene, key, { ...targetOf(this.#scene, this.#options.replyTo), first: at === 0 }, unit);
      const { sent, messageIds } = await delivery.deliverNow(row, signal);
      if (signal.aborted && !sent) return;
      this.#inFlight = null;
      if (sent && messageIds.length > 0) this.#units.push({ messageIds, form: unit.form, unit });
      else this.#over = true;
    } else if (!shows(here, unit)) {
      const [messageId] = here.messageIds;
      if (!isEditable(here, unit) || messageId === undefined) {
        // What stands there cannot become this: the finished answer takes its place.
        this.#over = true;
        return;
      }
      await platform.edit(targetOf(this.#scene), messageId, keepPictures(here.unit, unit), bytesOf);
      this.#units[at] = { ...here, unit };
    }
  }

  /** The first message of text has a key of its own, by which its form is known after a crash. */
  #keyOf(at: number, isText: boolean): string {
    return `${this.#scene.key}${at === 0 && isText ? '' : `:${at}`}${previewSuffix}`;
  }

  #textForm(): OutUnit | undefined {
    const { platform, locale } = this.#scene;
    return platform.render({ parts: [{ type: 'text', text: '…' }], buttons: [], locale, complete: false })[0];
  }

  /** A process that died, or an answer begun before, may have shown something: its rows in the outbox tell. */
  async #recover(): Promise<void> {
    if (this.#recovered) return;
    this.#recovered = true;
    const { delivery } = this.#scene;
    const { signal } = this.#options;
    const text = this.#units.length > 0 ? [] : await delivery.previousSend(this.#keyOf(0, true), signal);
    const form = this.#textForm()?.form ?? '';
    if (text.length > 0) this.#units.push({ messageIds: text, form, unit: null });
    for (let at = this.#units.length; ; at++) {
      const messageIds = await delivery.previousSend(this.#keyOf(at, false), signal);
      if (messageIds.length === 0) return;
      // Its form is not known: it goes, and what belongs there is sent anew.
      this.#units.push({ messageIds, form: '', unit: null });
    }
  }
}

/** True when a unit stands there as it is; a change that may have been left out does not count. */
export function shows(here: Standing, unit: OutUnit): boolean {
  return here.unit !== null && here.form === unit.form && (!here.unit.preview || unit.preview === true) && JSON.stringify(here.unit.body) === JSON.stringify(unit.body);
}

export function isEditable(here: Standing, unit: OutUnit): boolean {
  return here.form === unit.form && unit.count === 1 && here.messageIds.length === 1;
}

/** A positive 31-bit number that is the same for every try of one event. */
export function draftId(eventId: string): number {
  return (stableHash(nativeId(eventId)) & 0x7fffffff) || 1;
}

/** FNV-1a, 32 bits. */
export function stableHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
