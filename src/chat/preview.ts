// Shows an answer while it grows: one message that is edited, or a draft where the platform has them,
// never faster than the platform likes. Nothing here must survive: the finished answer goes by the outbox.
import { type Scene, sendRow, targetOf } from './desk.ts';
import { previewSuffix } from './delivery.ts';
import { nativeId } from './directory.ts';
import { DeliveryError, type OutUnit, type StreamRule } from './platform.ts';
import { Interrupted, type Interruption } from './running.ts';
import type { Reply } from './types.ts';

/** The message that stands for the growing answer. */
export interface PreviewMessage {
  readonly messageId: string;
  readonly form: string;
}

export class Preview {
  readonly #scene: Scene;
  readonly #rule: StreamRule;
  readonly #replyTo: string | undefined;
  readonly #signal: AbortSignal;
  #message: PreviewMessage | null = null;
  #wanted: Reply | null = null;
  #shown = '';
  #changedAt = 0;
  #work: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #over = false;

  constructor(scene: Scene, replyTo: string | undefined, signal: AbortSignal) {
    this.#scene = scene;
    this.#replyTo = replyTo;
    this.#signal = signal;
    const rule = scene.platform.streamRule(scene.place);
    this.#rule = scene.settings.streaming ? rule : { mode: 'none', intervalMs: rule.intervalMs };
  }

  /** Why the answer was ended early, if it was. */
  get interruption(): Interruption | null {
    const { aborted, reason } = this.#signal as AbortSignal & { reason: unknown };
    return aborted ? (reason instanceof Interrupted ? reason.why : 'stopped') : null;
  }

  /** The answer has grown to this. */
  grow(reply: Reply): void {
    if (this.#over || (this.#rule.mode === 'none' && !this.#message)) return;
    this.#wanted = reply;
    this.#schedule();
  }

  /** A sentence that is worth a message of its own, though the answer will take its place. */
  async notice(reply: Reply): Promise<void> {
    if (this.#over || this.#shown !== '') return;
    await this.#work;
    const unit = this.#scene.platform.render(reply)[0];
    if (unit) await this.#showMessage(unit);
  }

  /** Ends all showing and gives the message to be replaced, one from before a crash included. */
  async settle(): Promise<PreviewMessage | null> {
    this.#over = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#work;
    if (!this.#message) await this.#recover();
    return this.#message;
  }

  #schedule(): void {
    if (this.#work || this.#timer || this.#over) return;
    const wait = this.#changedAt + this.#rule.intervalMs - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#schedule();
      }, wait);
      return;
    }
    const reply = this.#wanted;
    if (!reply) return;
    this.#wanted = null;
    const work = this.#show(reply).finally(() => {
      this.#work = null;
      this.#changedAt = Date.now();
      if (this.#wanted) this.#schedule();
    });
    this.#work = work;
  }

  async #show(reply: Reply): Promise<void> {
    const { platform, place } = this.#scene;
    try {
      if (this.#rule.mode === 'draft' && !this.#message && platform.draft) {
        const text = reply.parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n').trim();
        if (text !== '' && text !== this.#shown) await platform.draft(place, draftId(this.#scene.event.id), text);
        this.#shown = text;
        return;
      }
      const unit = platform.render(reply)[0];
      if (unit) await this.#showMessage(unit);
    } catch (error) {
      // The whole answer is still to come; a preview that fails is let go.
      if (error instanceof DeliveryError && error.outcome === 'retry') this.#changedAt = Date.now() + error.retryInMs;
      else this.#over = true;
    }
  }

  async #showMessage(unit: OutUnit): Promise<void> {
    const body = JSON.stringify(unit.body);
    if (body === this.#shown) return;
    const { platform, delivery, key } = this.#scene;
    if (!this.#message) {
      const row = sendRow(this.#scene, `${key}${previewSuffix}`, { ...targetOf(this.#scene, this.#replyTo), first: true }, unit);
      const { sent, messageIds } = await delivery.deliverNow(row, this.#signal);
      if (sent && messageIds[0] !== undefined) this.#message = { messageId: messageIds[0], form: unit.form };
      else if (!this.#signal.aborted) this.#over = true;
    } else if (this.#message.form === unit.form) {
      await platform.edit(targetOf(this.#scene), this.#message.messageId, unit, async () => null);
    }
    this.#shown = body;
    this.#changedAt = Date.now();
  }

  /** A process that died may have shown something: its row in the outbox tells. */
  async #recover(): Promise<void> {
    const { key, delivery, platform, locale } = this.#scene;
    const unit = platform.render({ parts: [{ type: 'text', text: '…' }], buttons: [], locale, complete: false })[0];
    if (!unit) return;
    const found = await delivery.previousSend(`${key}${previewSuffix}`, this.#signal);
    if (found !== null) this.#message = { messageId: found, form: unit.form };
  }
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
