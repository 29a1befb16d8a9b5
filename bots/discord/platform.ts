// Discord as a chat platform: sends, edits and removes rendered units over REST. The answer to an
// interaction goes by its token while that lives, afterwards as an ordinary message. What follows it is an
// ordinary message where the bot may write one: only those carry a nonce, by which Discord knows a repeat.
import { DiscordAPIError, HTTPError, type RawFile, type REST, Routes } from 'discord.js';
import { type AllowedHost, type BytesOf, type ChatPlatform, DeliveryError, downloadPicture, type OutUnit, type PictureRef, type Place, type Reply, type ReplyHandle, type SendTarget, type StreamRule } from '../../src/chat/index.ts';
import { FromageError } from '../../src/errors.ts';
import { renderDiscord } from './render.ts';

export interface DiscordPlatformOptions {
  readonly rest: REST;
  readonly cdnHosts: readonly AllowedHost[];
  /** One second, milliseconds: tests run on shorter ones. */
  readonly secondMs: number;
}

const ephemeral = 64;
const suppressEmbeds = 4;
const threadIsArchived = 50083;

/** Model output pings nobody: not by mention, not by reply. */
const noMentions = { parse: [], replied_user: false };

export class DiscordPlatform implements ChatPlatform {
  readonly name = 'discord';
  readonly idempotentSend = true;
  readonly typingEveryMs: number;
  readonly #options: DiscordPlatformOptions;
  /** Channels in which typing is not allowed, until when: 10,000 refusals in 10 minutes ban an address. */
  readonly #noTyping = new Map<string, number>();
  /** Channels in which only interactions may be answered, until when. */
  readonly #noWriting = new Map<string, number>();
  /** Channels that refused an ordinary message: until when none is tried, and how long that was, milliseconds. */
  readonly #refused = new Map<string, { readonly until: number; readonly waitMs: number }>();
  /** When requests of the last second were made. */
  readonly #recent: number[] = [];

  constructor(options: DiscordPlatformOptions) {
    this.#options = options;
    this.typingEveryMs = 8 * options.secondMs;
  }

  streamRule(): StreamRule {
    return { mode: 'edit', intervalMs: 1.1 * this.#options.secondMs };
  }

  render(reply: Reply): readonly OutUnit[] {
    return renderDiscord(reply);
  }

  async send(target: SendTarget, unit: OutUnit, nonce: string, bytesOf: BytesOf): Promise<readonly string[]> {
    this.#count();
    const { files, body } = await this.#payload(unit, bytesOf);
    const { via } = target;
    const takesPlace = via?.kind === 'command' && target.first === true;
    if (!alive(via)) return this.#post(target, body, files, nonce);
    if (!takesPlace && unit.body.quiet !== true && this.#mayWrite(target.place)) {
      try {
        return await this.#post(target, body, files, nonce);
      } catch (error) {
        // Where a user has installed the app the bot is no member, and only the token may write.
        if (!(error instanceof DeliveryError) || error.outcome !== 'refused') throw error;
        this.#noWriting.set(target.place.native.channel ?? '', Date.now() + 600_000);
        if (this.#noWriting.size > 10_000) this.#noWriting.clear();
      }
    }
    try {
      return await this.#sendVia(via, takesPlace, unit, body, files);
    } catch (error) {
      if (!isDeadToken(error)) throw deliveryError('send', error);
    }
    return this.#post(target, body, files, nonce);
  }

  #mayWrite(place: Place): boolean {
    return (this.#noWriting.get(place.native.channel ?? '') ?? 0) < Date.now();
  }

  #post(target: SendTarget, body: Body, files: RawFile[], nonce: string): Promise<readonly string[]> {
    const { place } = target;
    const reference = target.replyTo === undefined ? {} : { message_reference: { message_id: target.replyTo, fail_if_not_exists: false } };
    const channel = place.native.channel ?? '';
    if ((this.#refused.get(channel)?.until ?? 0) > Date.now()) {
      throw new DeliveryError({ code: 'DISCORD_REFUSED', what: 'send was refused in this channel a moment ago', outcome: 'refused' });
    }
    return this.#call('send', async () => {
      try {
        const sent = (await this.#options.rest.post(Routes.channelMessages(channel), { body: { ...body, ...reference, nonce, enforce_nonce: true }, files })) as { id: string };
        this.#refused.delete(channel);
        return [sent.id];
      } catch (error) {
        if (error instanceof DiscordAPIError && error.status === 403) this.#holdOff(channel);
        throw error;
      }
    });
  }

  /** 10,000 refusals in 10 minutes ban an address: a channel gets half a minute of peace, then longer, at most two. */
  #holdOff(channel: string): void {
    const { secondMs } = this.#options;
    const waitMs = Math.min(120 * secondMs, 2 * (this.#refused.get(channel)?.waitMs ?? 15 * secondMs));
    this.#refused.set(channel, { until: Date.now() + waitMs, waitMs });
    if (this.#refused.size > 10_000) this.#refused.clear();
  }

  async edit(target: SendTarget, messageId: string, unit: OutUnit, bytesOf: BytesOf): Promise<void> {
    if (unit.preview && this.#isBusy()) return;
    this.#count();
    const { files, body } = await this.#payload(unit, bytesOf);
    const { via, place } = target;
    // Without this list the files of the old form stay.
    const edited = unit.keepsPictures ? body : { ...body, attachments: body.attachments ?? [] };
    if (alive(via)) {
      try {
        await this.#options.rest.patch(Routes.webhookMessage(via.values.application ?? '', via.values.token ?? '', messageId), { body: edited, files, auth: false });
        return;
      } catch (error) {
        if (!isOutOfReach(error)) throw deliveryError('edit', error);
      }
    }
    await this.#call('edit', () => this.#opened(place, () => this.#options.rest.patch(Routes.channelMessage(place.native.channel ?? '', messageId), { body: edited, files })));
  }

  async remove(place: Place, messageId: string, via?: ReplyHandle): Promise<void> {
    if (alive(via)) {
      try {
        await this.#options.rest.delete(Routes.webhookMessage(via.values.application ?? '', via.values.token ?? '', messageId), { auth: false });
        return;
      } catch (error) {
        if (!isOutOfReach(error)) throw deliveryError('remove', error);
      }
    }
    await this.#call('remove', () => this.#opened(place, () => this.#options.rest.delete(Routes.channelMessage(place.native.channel ?? '', messageId))));
  }

  /** Sending opens an archived thread, changing a message does not: it is opened first. A locked one stays closed. */
  async #opened<T>(place: Place, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DiscordAPIError) || Number(error.code) !== threadIsArchived) throw error;
      await this.#options.rest.patch(Routes.channel(place.native.channel ?? ''), { body: { archived: false } });
      return call();
    }
  }

  async typing(place: Place): Promise<void> {
    const channel = place.native.channel ?? '';
    if ((this.#noTyping.get(channel) ?? 0) > Date.now() || this.#isBusy()) return;
    this.#count();
    // One at a time: before the refusal of one is known, another would be refused too.
    this.#noTyping.set(channel, Number.POSITIVE_INFINITY);
    try {
      await this.#call('typing', () => this.#options.rest.post(Routes.channelTyping(channel)));
      this.#noTyping.delete(channel);
    } catch (error) {
      this.#noTyping.set(channel, Date.now() + 600_000);
      if (this.#noTyping.size > 10_000) this.#noTyping.clear();
      throw error;
    }
  }

  /** `handle` is `channel/message/attachment url`; a link that has expired is asked for anew. */
  async fetchPicture(ref: PictureRef, signal: AbortSignal): Promise<Uint8Array> {
    const [ids = '', url = ''] = ref.handle.split(' ');
    const hosts = this.#options.cdnHosts;
    try {
      return await downloadPicture(url, { hosts, signal });
    } catch (error) {
      const [channel = '', message = '', attachment = ''] = ids.split('/');
      if (!(error instanceof FromageError) || error.code !== 'INTAKE_STATUS' || message === '') throw error;
      const again = (await this.#options.rest.get(Routes.channelMessage(channel, message), { signal })) as { attachments?: { id: string; url: string }[] };
      const fresh = again.attachments?.find(({ id }) => id === attachment)?.url;
      if (fresh === undefined || fresh === url) throw error;
      return downloadPicture(fresh, { hosts, signal });
    }
  }

  #count(): void {
    this.#recent.push(Date.now());
    this.#isBusy();
  }

  /** Half of the 50 requests a second are kept for messages: growing previews and typing can be left out. */
  #isBusy(): boolean {
    const since = Date.now() - 1_000;
    while (this.#recent.length > 0 && this.#recent[0]! < since) this.#recent.shift();
    return this.#recent.length >= 25;
  }

  async #sendVia(via: ReplyHandle, takesPlace: boolean, unit: OutUnit, body: Body, files: RawFile[]): Promise<readonly string[]> {
    const { application = '', token = '' } = via.values;
    const { rest } = this.#options;
    // The deferred answer is "@original"; what it is for a button is the message with the button.
    if (takesPlace) {
      const original = { ...body, attachments: body.attachments ?? [] };
      const sent = (await rest.patch(Routes.webhookMessage(application, token), { body: original, files, auth: false })) as { id: string };
      return [sent.id];
    }
    const flags = body.flags | (unit.body.quiet === true ? ephemeral : 0);
    const sent = (await rest.post(Routes.webhook(application, token), { body: { ...body, flags }, files, auth: false, query: new URLSearchParams({ wait: 'true' }) })) as { id: string };
    return [sent.id];
  }

  async #payload(unit: OutUnit, bytesOf: BytesOf): Promise<{ body: Body; files: RawFile[] }> {
    const files: RawFile[] = [];
    const attachments: { id: string; filename: string; description: string }[] = [];
    let total = 0;
    const pictures = unit.keepsPictures ? [] : (unit.body.pictures ?? []);
    for (const { id, name, mimeType, description } of pictures as unknown as { id: string; name: string; mimeType: string; description: string }[]) {
      const bytes = await bytesOf({ kind: 'gallery', id });
      total += bytes?.length ?? 0;
      // 10 MiB a file, 25 MiB a request: what does not fit is left out rather than lose the rest.
      if (!bytes || bytes.length > 10_485_760 || total > 24_000_000) continue;
      attachments.push({ id: String(files.length), filename: name, description });
      files.push({ data: Buffer.from(bytes), name, contentType: mimeType });
    }
    const file = unit.body.file as { name: string; mimeType: string; exportOf: string; tooBig: string } | undefined;
    let content = String(unit.body.content ?? '');
    if (file) {
      const bytes = await bytesOf({ kind: 'mydata', id: file.exportOf });
      if (!bytes || bytes.length > 10_485_760) content = file.tooBig;
      else {
        attachments.push({ id: String(files.length), filename: file.name, description: '' });
        files.push({ data: Buffer.from(bytes), name: file.name, contentType: file.mimeType });
      }
    }
    return {
      files,
      body: {
        content: content === '' && files.length === 0 && !unit.keepsPictures ? '…' : content,
        components: (unit.body.components ?? []) as unknown[],
        allowed_mentions: noMentions,
        flags: suppressEmbeds,
        ...(attachments.length > 0 ? { attachments } : {}),
      },
    };
  }

  async #call<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw deliveryError(what, error);
    }
  }
}

interface Body {
  readonly content: string;
  readonly components: readonly unknown[];
  readonly allowed_mentions: typeof noMentions;
  readonly flags: number;
  readonly attachments?: readonly unknown[];
}

function alive(via: ReplyHandle | undefined): via is ReplyHandle {
  return via !== undefined && via.expiresAt > Date.now();
}

/** Unknown interaction, unknown webhook, invalid webhook token: an ordinary message is sent instead. */
function isDeadToken(error: unknown): boolean {
  return error instanceof DiscordAPIError && [10015, 10062, 50027].includes(Number(error.code));
}

/** A token changes only what was sent by it, and opens no thread: messages of the bot are then changed as such. */
function isOutOfReach(error: unknown): boolean {
  return isDeadToken(error) || (error instanceof DiscordAPIError && [10008, threadIsArchived].includes(Number(error.code)));
}

/** Sorts an error of discord.js by what is known of the request. */
export function deliveryError(what: string, error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error;
  if (error instanceof DiscordAPIError) {
    const facts = { code: 'DISCORD_REFUSED', what: `${what} was answered ${error.status} (${error.code}): ${error.message.split('\n')[0]}`, why: 'Discord refused the request' };
    const gone = [10003, 10008, 10015, threadIsArchived].includes(Number(error.code)) && what !== 'send';
    return new DeliveryError({ ...facts, outcome: gone ? 'gone' : 'refused' });
  }
  if (error instanceof HTTPError) {
    return new DeliveryError({ code: 'DISCORD_SERVER', what: `${what} was answered ${error.status}`, outcome: 'unknown', retryInMs: 2_000, retryable: true });
  }
  const name = error instanceof Error ? ((error as { code?: string }).code ?? error.name) : 'unknown';
  return new DeliveryError({ code: 'DISCORD_NETWORK', what: `${what} failed on the way (${name})`, outcome: name === 'ECONNREFUSED' ? 'retry' : 'unknown', retryInMs: 2_000, retryable: true });
}
