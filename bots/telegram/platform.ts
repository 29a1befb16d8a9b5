// Telegram as a chat platform: sends, edits and removes rendered units through the outgoing queue, shows
// typing and drafts, fetches pictures from the Bot API server.
import { type BytesOf, type ChatPlatform, DeliveryError, downloadPicture, type AllowedHost, type OutUnit, type PictureRef, type Place, type Reply, type SendTarget, type StreamRule } from '../../src/chat/index.ts';
import { type CallPayload, MigratedError, type TelegramApi } from './api.ts';
import type { OutgoingJob, OutgoingQueue } from './outgoing.ts';
import { renderTelegram } from './render.ts';

export interface TelegramPlatformOptions {
  readonly api: TelegramApi;
  readonly queue: OutgoingQueue;
  readonly fileHosts: readonly AllowedHost[];
  /** One second, milliseconds: tests run on shorter ones. */
  readonly secondMs: number;
  /** Told when a group has become a supergroup. */
  readonly onMigrated: (from: string, to: string) => Promise<void>;
}

interface SentMessage {
  readonly message_id: number;
}

export class TelegramPlatform implements ChatPlatform {
  readonly name = 'telegram';
  readonly idempotentSend = false;
  readonly typingEveryMs: number;
  readonly #options: TelegramPlatformOptions;
  /** Groups by their old id. */
  readonly #moved = new Map<string, string>();
  #drafts = true;

  constructor(options: TelegramPlatformOptions) {
    this.#options = options;
    this.typingEveryMs = 4 * options.secondMs;
  }

  /** Drafts in private chats until the server turns out not to know them; edits of one message elsewhere. */
  streamRule(place: Place): StreamRule {
    const { secondMs } = this.#options;
    if (place.isPrivate && this.#drafts) return { mode: 'draft', intervalMs: 1.2 * secondMs };
    return { mode: 'edit', intervalMs: (place.isPrivate ? 1.5 : 4) * secondMs };
  }

  render(reply: Reply): readonly OutUnit[] {
    return renderTelegram(reply);
  }

  async send(target: SendTarget, unit: OutUnit, _nonce: string, bytesOf: BytesOf): Promise<readonly string[]> {
    const { place } = target;
    const base = { ...this.#where(place), ...replyParameters(target) };
    const job = this.#job(place, 'message', unit.count);
    switch (unit.form) {
      case 'text':
        return this.#sent(job, 'sendMessage', { ...base, ...unit.body, link_preview_options: { is_disabled: true } });
      case 'photo':
      case 'document': {
        const [picture] = await this.#pictures(unit, bytesOf);
        if (!picture) return this.#sent(job, 'sendMessage', { ...base, text: captionsOf(unit), ...markupOf(unit) });
        const { caption, source } = picture;
        const method = unit.form === 'photo' ? 'sendPhoto' : 'sendDocument';
        this.#showUploading(place);
        return this.#sent(job, method, { ...asForm(base), [unit.form]: source, ...captionFields(caption), ...markupOf(unit) });
      }
      case 'album': {
        this.#showUploading(place);
        const pictures = await this.#pictures(unit, bytesOf);
        // A picture that has gone in between leaves an album of one, which Telegram refuses.
        if (pictures.length < 2) return this.send(target, { ...unit, form: 'photo', count: 1 }, _nonce, bytesOf);
        const media = pictures.map(({ source, caption }) => ({ type: 'photo', media: source, caption: caption.text, caption_entities: caption.entities }));
        return this.#sent(job, 'sendMediaGroup', { ...asForm(base), media });
      }
      case 'file': {
        const bytes = await bytesOf({ kind: 'mydata', id: String(unit.body.exportOf) });
        if (!bytes || bytes.length > 50_000_000) return this.#sent(job, 'sendMessage', { ...base, text: String(unit.body.tooBig) });
        return this.#sent(job, 'sendDocument', { ...asForm(base), document: { source: Buffer.from(bytes), filename: String(unit.body.name) } });
      }
      default:
        throw new DeliveryError({ code: 'TELEGRAM_REFUSED', what: `there is no form "${unit.form}"`, outcome: 'refused' });
    }
  }

  async edit(target: SendTarget, messageId: string, unit: OutUnit, bytesOf: BytesOf): Promise<void> {
    const { place } = target;
    const job = { ...this.#job(place, 'edit', 1), ...(unit.preview ? { droppable: true } : {}) };
    const { topic: _topic, ...where } = this.#chatOnly(place);
    const message = { ...where, message_id: Number(messageId) };
    const shows = unit.form === 'photo' || unit.form === 'document';
    const [picture] = shows && !unit.keepsPictures ? await this.#pictures(unit, bytesOf) : [];
    const call = unit.form === 'text'
      ? this.#run(job, 'editMessageText', { ...message, ...unit.body, link_preview_options: { is_disabled: true } })
      : picture
        ? this.#run(job, 'editMessageMedia', { ...message, media: { type: unit.form, media: picture.source, caption: picture.caption.text, caption_entities: picture.caption.entities }, ...markupOf(unit) })
        : this.#run(job, 'editMessageReplyMarkup', { ...message, ...markupOf(unit) });
    await call.catch((error: unknown) => {
      if (!(error instanceof DeliveryError) || error.outcome !== 'gone' || !/not modified/.test(error.what)) throw error;
    });
  }

  async remove(place: Place, messageId: string): Promise<void> {
    await this.#run(this.#job(place, 'edit', 1), 'deleteMessage', { ...this.#chatOnly(place), message_id: Number(messageId) });
  }

  async draft(place: Place, draftId: number, text: string): Promise<void> {
    const job = { ...this.#job(place, 'sign', 1), droppable: true };
    try {
      await this.#run(job, 'sendMessageDraft', { ...this.#where(place), draft_id: draftId, text: text.slice(0, 4_096).toWellFormed() });
    } catch (error) {
      // An older Bot API server does not know the method.
      if (error instanceof DeliveryError && / 404:|method not found/i.test(error.what)) this.#drafts = false;
      throw error;
    }
  }

  async typing(place: Place, action: 'typing' | 'upload_photo' = 'typing'): Promise<void> {
    const job = { ...this.#job(place, 'sign', 1), droppable: true };
    await this.#run(job, 'sendChatAction', { ...this.#where(place), action });
  }

  async fetchPicture(ref: PictureRef, signal: AbortSignal): Promise<Uint8Array> {
    const { api, fileHosts } = this.#options;
    const file = await api.call<{ file_path?: string }>('getFile', { file_id: ref.handle }, { signal, timeoutMs: 15_000 });
    return downloadPicture(api.fileAddress(file.file_path ?? ''), { hosts: fileHosts, signal });
  }

  /** Known from a service message or an error: later messages go to the new id. */
  noteMigration(from: string, to: string): void {
    this.#moved.set(from, to);
  }

  #showUploading(place: Place): void {
    // Only a sign: the picture itself tells when something is wrong.
    this.typing(place, 'upload_photo').catch(() => {});
  }

  async #sent(job: OutgoingJob, method: string, payload: CallPayload): Promise<readonly string[]> {
    const result = await this.#run<SentMessage | readonly SentMessage[]>(job, method, payload);
    const messages = Array.isArray(result) ? (result as readonly SentMessage[]) : [result as SentMessage];
    return messages.map(({ message_id: id }) => String(id));
  }

  async #run<T>(job: OutgoingJob, method: string, payload: CallPayload): Promise<T | null> {
    const { api, queue } = this.#options;
    try {
      return await queue.run(job, () => api.call<T>(method, payload));
    } catch (error) {
      if (error instanceof MigratedError) {
        this.noteMigration(job.chat, error.chatId);
        await this.#options.onMigrated(job.chat, error.chatId);
      }
      // Formatting is never worth a lost answer.
      const plain = error instanceof DeliveryError && /can't parse|ENTITY_/i.test(error.what) ? withoutFormat(payload) : null;
      if (plain) return this.#run(job, method, plain);
      if (error instanceof DeliveryError && /message (to be replied|thread) not found/i.test(error.what) && 'message_thread_id' in payload) {
        const { message_thread_id: _gone, ...rest } = payload;
        return this.#run(job, method, rest);
      }
      throw error;
    }
  }

  async #pictures(unit: OutUnit, bytesOf: BytesOf): Promise<{ source: { source: Buffer; filename: string }; caption: Caption }[]> {
    const out = [];
    for (const { id, mimeType, caption } of unit.body.pictures as unknown as { id: string; mimeType: string; caption: Caption }[]) {
      const bytes = await bytesOf({ kind: 'gallery', id });
      if (bytes) out.push({ source: { source: Buffer.from(bytes), filename: `picture.${mimeType.split('/')[1] ?? 'jpg'}` }, caption });
    }
    return out;
  }

  #job(place: Place, priority: OutgoingJob['priority'], weight: number): OutgoingJob {
    return { chat: this.#chat(place), group: !place.isPrivate, priority, weight };
  }

  #chat(place: Place): string {
    const id = place.native.chat ?? '';
    return this.#moved.get(id) ?? id;
  }

  #chatOnly(place: Place): Record<string, number> {
    return { chat_id: Number(this.#chat(place)) };
  }

  #where(place: Place): Record<string, number> {
    const { topic } = place.native;
    return { ...this.#chatOnly(place), ...(topic === undefined ? {} : { message_thread_id: Number(topic) }) };
  }
}

interface Caption {
  readonly text: string;
  readonly entities: readonly unknown[];
}

/** A question that has gone must not make its answer fail. */
function replyParameters(target: SendTarget): Record<string, unknown> {
  if (target.replyTo === undefined) return {};
  return { reply_parameters: { message_id: Number(target.replyTo), allow_sending_without_reply: true } };
}

/** telegraf drops objects from forms with a file in them, so `reply_parameters` goes as JSON text. */
function asForm(payload: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));
}

function captionFields(caption: Caption): Record<string, unknown> {
  return { caption: caption.text, ...(caption.entities.length > 0 ? { caption_entities: JSON.stringify(caption.entities) } : {}) };
}

/** Null when there is no formatting in it. */
function withoutFormat(payload: CallPayload): CallPayload | null {
  let found = false;
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).flatMap(([name, inner]) => {
      if (name !== 'entities' && name !== 'caption_entities') return [[name, name === 'media' ? plain(inner) : inner]];
      found = true;
      return [];
    }));
  };
  const stripped = plain(payload) as CallPayload;
  return found ? stripped : null;
}

function markupOf(unit: OutUnit): Record<string, unknown> {
  return unit.body.reply_markup === undefined ? {} : { reply_markup: unit.body.reply_markup };
}

function captionsOf(unit: OutUnit): string {
  return (unit.body.pictures as unknown as { caption: Caption }[]).map(({ caption }) => caption.text).join('\n').slice(0, 4_000);
}
