// Discord on loopback: REST, gateway and CDN. Checks every request and answer against the published
// schemas, enforces the platform's limits and the life of interaction tokens, fails where a test asks.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import busboy from 'busboy';
import { Gateway, guildBody, intentBits } from './gateway.ts';
import { answerViolation, eventViolations, unknownKeys, violation } from './schema.ts';
import { applicationBody, channelBody, DiscordWorld, type FakeAttachment, type FakeChannel, type FakeMessage, type FakeUser, type Json, ownUserBody, snowflake, userBody } from './world.ts';

export interface Fault {
  /** `POST /channels/:id/messages`, with `:id` for any id. */
  readonly route: string;
  /** 0 closes the connection. */
  readonly status: number;
  readonly body?: Json;
  readonly headers?: Record<string, string>;
  /** Does what was asked before it fails. */
  readonly afterEffect?: boolean;
  readonly times?: number;
}

export interface Call {
  readonly route: string;
  readonly path: string;
  readonly body: Json;
  readonly files: number;
  readonly at: number;
  status: number;
}

interface FakeInteraction {
  readonly id: string;
  readonly type: number;
  readonly token: string;
  readonly channel: FakeChannel;
  readonly user: FakeUser;
  readonly createdAt: number;
  readonly component: FakeMessage | null;
  acknowledged: number | null;
  ephemeral: boolean;
  original: string | null;
  /** Messages that its token may change beside the first. */
  readonly followUps: Set<string>;
  /** What an immediate answer said. */
  said: string | null;
}

export interface FakeDiscordOptions {
  /** One second of the limits and token lives, milliseconds. */
  readonly secondMs?: number;
  readonly limits?: boolean;
}

export interface SayOptions {
  readonly pictures?: readonly Uint8Array[];
  readonly replyTo?: FakeMessage;
  /** Forwards this message. */
  readonly forward?: FakeMessage;
  readonly mentionBot?: boolean;
  readonly author?: { readonly bot?: boolean; readonly webhook?: boolean };
  /** Kept out of the gateway: as if the bot was away. */
  readonly unheard?: boolean;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: number;
  readonly headers: Record<string, string>;

  constructor(status: number, code: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export class FakeDiscord {
  readonly token = 'MTA.fake-token.opaque';
  readonly world = new DiscordWorld();
  readonly calls: Call[] = [];
  readonly violations: string[] = [];
  readonly interactions = new Map<string, FakeInteraction>();
  commands: Json[] = [];
  typing = 0;
  /** Channels in which the bot may not write. */
  readonly mute = new Set<string>();
  forbiddenIntents = 0;
  gateway!: Gateway;
  url = '';
  readonly #options: Required<FakeDiscordOptions>;
  readonly #faults: (Fault & { left: number })[] = [];
  readonly #nonces = new Map<string, FakeMessage>();
  readonly #buckets = new Map<string, { left: number; resetAt: number }>();
  readonly #attachments = new Map<string, FakeAttachment>();
  #signature = 1;
  #server: Server | null = null;

  constructor(options: FakeDiscordOptions = {}) {
    this.#options = { secondMs: 1_000, limits: true, ...options };
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        this.violations.push(`the fake failed: ${(error as Error).stack}`);
        response.destroy();
      });
    });
    // On a busy machine a client may come back late to a connection that it keeps open.
    this.#server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server!.address() as AddressInfo).port}`;
    this.gateway = new Gateway(this.#server, { world: this.world, token: this.token, url: () => this.url, forbiddenIntents: () => this.forbiddenIntents, onViolation: (what) => this.violations.push(what) });
  }

  async stop(): Promise<void> {
    await this.gateway.close();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault, left: fault.times ?? 1 });
  }

  /** Takes back the faults that have not happened yet. */
  forgive(): void {
    this.#faults.length = 0;
  }

  called(route: string): Call[] {
    return this.calls.filter((call) => call.route === route);
  }

  // ---- what people do

  /** A server that the bot has just been added to, with one channel. */
  guildWithChannel(admins: readonly FakeUser[] = []): FakeChannel {
    const guild = this.world.guild(admins);
    const channel = this.world.channel(guild);
    this.gateway.dispatch('GUILD_CREATE', () => this.#event('GUILD_CREATE', guildBody(this.world, guild)));
    return channel;
  }

  say(channel: FakeChannel, author: FakeUser, content: string, options: SayOptions = {}): FakeMessage {
    const { bot } = this.world;
    const text = options.mentionBot ? `<@${bot.id}> ${content}` : content;
    const mentions = text.includes(`<@${bot.id}>`) || options.replyTo?.author.id === bot.id ? [bot] : [];
    const message = this.world.add({
      channel, author: options.author?.bot ? { ...author, bot: true } : author, content: text,
      attachments: (options.pictures ?? []).map((bytes, i) => this.#attach(bytes, `photo${i}.png`, undefined)),
      components: [], flags: 0, mentions, nonce: null, ephemeralFor: null, webhook: options.author?.webhook ?? false,
      reference: options.forward ? { messageId: options.forward.id, type: 1, channel: options.forward.channel } : options.replyTo ? { messageId: options.replyTo.id, type: 0, channel } : null,
      snapshot: options.forward ? { content: options.forward.content, attachments: options.forward.attachments } : null,
    });
    if (!options.unheard) this.#tell('MESSAGE_CREATE', message);
    return message;
  }

  edit(message: FakeMessage, content: string): void {
    message.content = message.mentions.length > 0 ? `<@${this.world.bot.id}> ${content}` : content;
    message.editedAt = Date.now();
    this.#tell('MESSAGE_UPDATE', message);
  }

  remove(message: FakeMessage): void {
    this.world.remove(message);
    this.gateway.dispatch('MESSAGE_DELETE', () => ({ id: message.id, channel_id: message.channel.id, ...guildOf(message.channel) }));
  }

  react(message: FakeMessage, user: FakeUser, emoji: string, added = true): void {
    this.gateway.dispatch(added ? 'MESSAGE_REACTION_ADD' : 'MESSAGE_REACTION_REMOVE', () => ({
      user_id: user.id, channel_id: message.channel.id, message_id: message.id, message_author_id: message.author.id, emoji: { id: null, name: emoji }, burst: false, type: 0, ...guildOf(message.channel),
    }));
  }

  slash(channel: FakeChannel, user: FakeUser, name: string, options: Record<string, string | Uint8Array> = {}): FakeInteraction {
    const attachments: Record<string, Json> = {};
    const list = Object.entries(options).map(([key, value]) => {
      if (typeof value === 'string') return { name: key, type: key === 'user' ? 6 : 3, value };
      const attachment = this.#attach(value, 'option.png', undefined);
      attachments[attachment.id] = this.#attachmentBody(attachment, channel);
      return { name: key, type: 11, value: attachment.id };
    });
    const users = typeof options.user === 'string' ? { users: { [options.user]: userBody(this.world.user(options.user)) } } : {};
    return this.#interact(channel, user, 2, { id: snowflake(), name, type: 1, options: list, resolved: { attachments, ...users } }, null);
  }

  menu(message: FakeMessage, user: FakeUser, name: string): FakeInteraction {
    const resolved = { messages: { [message.id]: this.#messageBody(message, ~0) } };
    return this.#interact(message.channel, user, 2, { id: snowflake(), name, type: 3, target_id: message.id, resolved }, null);
  }

  click(message: FakeMessage, user: FakeUser, customId: string): FakeInteraction {
    return this.#interact(message.channel, user, 3, { custom_id: customId, component_type: 2 }, message);
  }

  autocomplete(channel: FakeChannel, user: FakeUser, name: string, options: Json[]): FakeInteraction {
    return this.#interact(channel, user, 4, { id: snowflake(), name, type: 1, options }, null);
  }

  /** Signed links given out so far die. */
  expireLinks(): void {
    this.#signature++;
  }

  /** The token's fifteen minutes are over. */
  killToken(token: string): void {
    this.interactions.delete(token);
  }

  // ---- bodies

  #tell(t: string, message: FakeMessage): void {
    this.gateway.dispatch(t, (intents) => {
      const body = this.#messageBody(message, intents);
      const wrong = violation('MessageResponse', body);
      // The published schema knows no forwards: their reference has type 1.
      if (wrong && !(message.reference?.type === 1 && /^MessageResponse: message_reference.type: [^;]*$/.test(wrong))) this.violations.push(`event: ${wrong}`);
      const { guildId } = message.channel;
      const member = { roles: [], joined_at: new Date().toISOString(), deaf: false, mute: false, flags: 0 };
      return guildId === null ? { ...body, channel_type: 1 } : { ...body, guild_id: guildId, channel_type: message.channel.type, member };
    });
  }

  /** Without the intent the content of others is empty, with four exceptions. */
  #messageBody(message: FakeMessage, intents: number): Json {
    const { bot } = this.world;
    const visible = (intents & intentBits.messageContent) !== 0 || message.channel.guildId === null || message.author.id === bot.id || message.mentions.some(({ id }) => id === bot.id);
    const attachments = visible ? message.attachments.map((attachment) => this.#attachmentBody(attachment, message.channel)) : [];
    const { reference, snapshot } = message;
    const referenced = reference?.type === 0 ? this.world.find(message.channel.id, reference.messageId) : undefined;
    return {
      id: message.id, type: reference?.type === 0 ? 19 : 0, channel_id: message.channel.id, author: userBody(message.author), content: visible ? message.content : '',
      timestamp: new Date(Number((BigInt(message.id) >> 22n) + 1_420_070_400_000n)).toISOString(), edited_timestamp: message.editedAt === null ? null : new Date(message.editedAt).toISOString(),
      tts: false, mention_everyone: false, mentions: message.mentions.map(userBody), mention_roles: [], attachments, embeds: [], pinned: false, flags: message.flags,
      components: visible ? message.components : [],
      ...(message.nonce === null ? {} : { nonce: message.nonce }),
      ...(message.webhook ? { webhook_id: '123456789012345678' } : {}),
      ...(reference ? { message_reference: { type: reference.type, channel_id: reference.channel.id, message_id: reference.messageId, ...guildOf(reference.channel) } } : {}),
      ...(reference?.type === 0 ? { referenced_message: referenced ? this.#messageBody({ ...referenced, reference: null }, intents) : null } : {}),
      ...(snapshot && visible ? { message_snapshots: [{ message: this.#snapshotBody(snapshot, message.channel) }] } : {}),
    };
  }

  #snapshotBody(snapshot: NonNullable<FakeMessage['snapshot']>, channel: FakeChannel): Json {
    return {
      type: 0, content: snapshot.content, mentions: [], mention_roles: [], attachments: snapshot.attachments.map((attachment) => this.#attachmentBody(attachment, channel)),
      embeds: [], timestamp: new Date().toISOString(), edited_timestamp: null, flags: 0, components: [],
    };
  }

  #attach(bytes: Uint8Array, filename: string, description: string | undefined): FakeAttachment {
    const attachment = { id: snowflake(), filename, description, contentType: 'image/png', bytes };
    this.#attachments.set(attachment.id, attachment);
    return attachment;
  }

  #attachmentBody(attachment: FakeAttachment, channel: FakeChannel): Json {
    const expires = Math.floor(Date.now() / 1000 + 86_400).toString(16);
    const url = `${this.url}/attachments/${channel.id}/${attachment.id}/${attachment.filename}?ex=${expires}&is=${expires}&hm=sig${this.#signature}`;
    return { id: attachment.id, filename: attachment.filename, size: attachment.bytes.length, url, proxy_url: url, width: 24, height: 24, content_type: attachment.contentType, ...(attachment.description ? { description: attachment.description } : {}) };
  }

  #interact(channel: FakeChannel, user: FakeUser, type: number, data: Json, component: FakeMessage | null): FakeInteraction {
    const interaction: FakeInteraction = { id: snowflake(), type, token: `interaction-token-${snowflake()}`, channel, user, createdAt: Date.now(), component, acknowledged: null, ephemeral: false, original: component?.id ?? null, followUps: new Set(), said: null };
    this.interactions.set(interaction.token, interaction);
    const guild = channel.guildId === null ? null : this.world.guilds.get(channel.guildId);
    const permissions = guild?.admins.has(user.id) ? '8589934591' : '104324673';
    const member = { user: userBody(user), roles: [], joined_at: new Date().toISOString(), deaf: false, mute: false, flags: 0, permissions };
    this.gateway.dispatch('INTERACTION_CREATE', (intents) => this.#event('INTERACTION_CREATE', {
      id: interaction.id, application_id: this.world.bot.id, type, token: interaction.token, version: 1, channel_id: channel.id, channel: channelBody(channel), data,
      locale: user.locale, app_permissions: '8589934591', entitlements: [], authorizing_integration_owners: {}, context: channel.guildId === null ? 1 : 0, attachment_size_limit: 10_485_760,
      ...(guild ? { guild_id: guild.id, guild: { id: guild.id, locale: 'en-US', features: [] }, guild_locale: 'en-US', member } : { user: userBody(user) }),
      ...(component ? { message: this.#messageBody(component, intents) } : {}),
    }));
    return interaction;
  }

  /** No schema of the gateway's events is published: their parts are checked by those of REST answers. */
  #event(name: string, body: Json): Json {
    for (const wrong of eventViolations(body)) this.violations.push(`event: ${name}: ${wrong}`);
    return body;
  }

  // ---- REST

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    if (pathname.startsWith('/attachments/')) return this.#serveFile(pathname, searchParams, response);
    const path = decodeURIComponent(pathname.replace(/^\/api\/v10/, ''));
    const route = `${request.method} ${path.replace(/\/interaction-token-\d+/g, '/:token').replace(/\/\d{5,}/g, '/:id')}`;
    const { body, files } = await readBody(request);
    const call: Call = { route, path, body, files: files.length, at: Date.now(), status: 200 };
    this.calls.push(call);
    const fault = this.#takeFault(route);
    try {
      const open = route.includes('/:token') || route.startsWith('POST /interactions');
      if (!open && request.headers.authorization !== `Bot ${this.token}`) throw new Refusal(401, 0, '401: Unauthorized');
      if (fault && !fault.afterEffect) return this.#failWith(fault, call, response);
      const headers = this.#bucket(route, path);
      const result = this.#perform(route, path, body, files, searchParams);
      const wrong = result === null ? null : answerViolation(route, result);
      if (wrong) this.violations.push(`answer: ${route}: ${wrong}`);
      if (fault) return this.#failWith(fault, call, response);
      call.status = result === null ? 204 : 200;
      response.writeHead(call.status, { ...(result === null ? {} : { 'content-type': 'application/json' }), ...headers }).end(result === null ? undefined : JSON.stringify(result));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      call.status = error.status;
      const limited = error.status === 429;
      const refusal = { code: error.code, message: error.message, ...(limited ? { retry_after: Number(error.headers['retry-after']), global: false } : {}) };
      const wrong = violation(limited ? 'RatelimitedResponse' : 'ErrorResponse', refusal);
      if (wrong) this.violations.push(`answer: ${route}: ${wrong}`);
      response.writeHead(error.status, { 'content-type': 'application/json', ...error.headers }).end(JSON.stringify(refusal));
    }
  }

  #failWith(fault: Fault, call: Call, response: ServerResponse): void {
    call.status = fault.status;
    if (fault.status === 0) response.destroy();
    else response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(JSON.stringify(fault.body ?? { code: 0, message: 'made to fail' }));
  }

  #takeFault(route: string): Fault | null {
    const at = this.#faults.findIndex((fault) => fault.route === route);
    if (at < 0) return null;
    const fault = this.#faults[at]!;
    if (--fault.left === 0) this.#faults.splice(at, 1);
    return fault;
  }

  /** Five messages in five seconds per channel, five edits likewise, told in headers. */
  #bucket(route: string, path: string): Record<string, string> {
    if (!this.#options.limits || !/^(POST|PATCH) \/channels\/:id\/messages/.test(route)) return {};
    const key = `${route.split(' ')[0]} ${path.split('/')[2]}`;
    const now = Date.now();
    const window = 5 * this.#options.secondMs;
    let bucket = this.#buckets.get(key);
    if (!bucket || bucket.resetAt <= now) this.#buckets.set(key, (bucket = { left: 5, resetAt: now + window }));
    const after = Math.max(0.001, (bucket.resetAt - now) / 1000);
    const headers = { 'x-ratelimit-bucket': `bucket-${route.split(' ')[0]}`, 'x-ratelimit-limit': '5', 'x-ratelimit-reset-after': after.toFixed(3), 'x-ratelimit-reset': (bucket.resetAt / 1000).toFixed(3) };
    if (bucket.left === 0) throw new Refusal(429, 0, 'You are being rate limited.', { ...headers, 'retry-after': after.toFixed(3), 'x-ratelimit-remaining': '0', 'x-ratelimit-scope': 'user' });
    bucket.left--;
    return { ...headers, 'x-ratelimit-remaining': String(bucket.left) };
  }

  #perform(route: string, path: string, body: Json, files: Upload[], query: URLSearchParams): unknown {
    const ids = path.split('/');
    switch (route) {
      case 'GET /gateway/bot':
        return { url: `${this.url.replace('http', 'ws')}/gateway`, shards: 1, session_start_limit: { total: 1000, remaining: 999, reset_after: 0, max_concurrency: 1 } };
      case 'GET /users/@me':
        return ownUserBody(this.world.bot);
      case 'GET /applications/@me':
      case 'GET /oauth2/applications/@me':
        return applicationBody(this.world.bot);
      case 'PUT /applications/:id/commands':
        return this.#register(body as unknown as Json[]);
      case 'GET /channels/:id':
        return channelBody(this.#channel(ids[2]!));
      case 'PATCH /channels/:id': {
        const channel = this.#channel(ids[2]!);
        if (channel.locked) throw new Refusal(403, 50013, 'Missing Permissions');
        if (body.archived !== undefined) channel.archived = body.archived === true;
        return channelBody(channel);
      }
      case 'POST /channels/:id/typing':
        this.#writable(ids[2]!);
        this.typing++;
        return null;
      case 'POST /channels/:id/messages':
        return this.#post(ids[2]!, body, files);
      case 'GET /channels/:id/messages': {
        return this.#history(this.#channel(ids[2]!), query);
      }
      case 'GET /channels/:id/messages/:id':
        return this.#messageBody(this.#message(ids[2]!, ids[4]!), 0);
      case 'PATCH /channels/:id/messages/:id': {
        const message = this.#message(ids[2]!, ids[4]!);
        if (message.author.id !== this.world.bot.id) throw new Refusal(403, 50005, 'Cannot edit a message authored by another user');
        return this.#change(message, 'MessageEditRequestPartial', body, files);
      }
      case 'DELETE /channels/:id/messages/:id':
        this.remove(this.#message(ids[2]!, ids[4]!));
        return null;
      case 'POST /interactions/:id/:token/callback':
        return this.#callback(ids[3]!, body, files, /^(1|true)$/i.test(query.get('with_response') ?? ''));
      case 'POST /webhooks/:id/:token':
        return this.#followUp(this.#live(ids[3]!), body, files);
      case 'PATCH /webhooks/:id/:token/messages/@original':
        return this.#editOriginal(this.#live(ids[3]!), body, files);
      case 'PATCH /webhooks/:id/:token/messages/:id':
        return this.#change(this.#ownMessage(this.#live(ids[3]!), ids[5]!), 'IncomingWebhookUpdateRequestPartial', body, files);
      case 'DELETE /webhooks/:id/:token/messages/:id':
        this.remove(this.#ownMessage(this.#live(ids[3]!), ids[5]!));
        return null;
      default:
        this.violations.push(`unknown route ${route}`);
        throw new Refusal(404, 0, '404: Not Found');
    }
  }

  #register(commands: Json[]): Json[] {
    for (const command of commands) {
      const wrong = violation('ApplicationCommandUpdateRequest', command);
      // The published schema types the permissions as a number; Discord takes the string that clients send.
      if (wrong && !/default_member_permissions/.test(wrong)) this.violations.push(`call: ${wrong}`);
      const words = JSON.stringify([command.name, command.description, command.options]).length;
      if (words > 8_000) this.violations.push('call: a command of more than 8,000 characters');
      const options = (command.options ?? []) as { required: boolean; name: string }[];
      if (options.some(({ required }, i) => required && i > 0 && !options[i - 1]!.required)) throw new Refusal(400, 50035, `Required options must be placed before non-required options: ${String(command.name)}`);
      if (options.some(({ name }) => !/^[-_'\p{Ll}\p{N}]{1,32}$/u.test(name))) throw new Refusal(400, 50035, 'Invalid option name');
    }
    this.commands = commands;
    return commands.map((command) => ({
      type: 1, description: '', default_member_permissions: null, nsfw: false, contexts: null, integration_types: [0],
      ...Object.fromEntries(Object.entries(command).filter(([, value]) => value !== null)), id: snowflake(), application_id: this.world.bot.id, version: snowflake(),
    }));
  }

  /** The newest first, at most `limit`; with `after`, those that follow it. */
  #history(channel: FakeChannel, query: URLSearchParams): Json[] {
    const limit = Number(query.get('limit') ?? 50);
    if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw new Refusal(400, 50035, 'Invalid Form Body: limit must be between 1 and 100');
    const [after, before] = [query.get('after'), query.get('before')];
    const list = this.world.in(channel.id).filter(({ id }) => (after === null || BigInt(id) > BigInt(after)) && (before === null || BigInt(id) < BigInt(before)));
    return (after === null ? list.slice(-limit) : list.slice(0, limit)).toReversed().map((message) => this.#messageBody(message, 0));
  }

  #channel(id: string): FakeChannel {
    const channel = this.world.channels.get(id);
    if (!channel) throw new Refusal(404, 10003, 'Unknown Channel');
    return channel;
  }

  #writable(id: string): FakeChannel {
    const channel = this.#channel(id);
    if (this.mute.has(id)) throw new Refusal(403, 50013, 'Missing Permissions');
    return channel;
  }

  #message(channelId: string, id: string): FakeMessage {
    const message = this.world.find(this.#channel(channelId).id, id);
    if (!message) throw new Refusal(404, 10008, 'Unknown Message');
    return message;
  }

  #check(schema: string, body: Json, files: Upload[]): void {
    const strict = withStringIds(body);
    // Clients say `tts` in edits too; Discord takes no notice of it there.
    const { tts: _speech, ...published } = strict;
    const wrong = violation(schema, strict) ?? unknownKeys(schema, /Update|Edit/.test(schema) ? published : strict);
    if (wrong) {
      this.violations.push(`call: ${wrong}`);
      throw new Refusal(400, 50035, `Invalid Form Body: ${wrong}`);
    }
    if (String(body.content ?? '').length > 2_000) throw new Refusal(400, 50035, 'Invalid Form Body: content must be 2000 or fewer in length');
    if (files.length > 10) throw new Refusal(400, 50035, 'Invalid Form Body: too many files');
    if (files.some(({ bytes }) => bytes.length > 10_485_760) || files.reduce((sum, { bytes }) => sum + bytes.length, 0) > 26_214_400) throw new Refusal(413, 40005, 'Request entity too large');
    const mentions = body.allowed_mentions as { parse?: unknown[] } | undefined;
    if (!mentions || !Array.isArray(mentions.parse) || mentions.parse.length > 0) this.violations.push('call: allowed_mentions does not forbid every mention');
  }

  #uploads(body: Json, files: Upload[]): FakeAttachment[] {
    const named = (body.attachments ?? []) as { id: number | string; description?: string }[];
    return files.map(({ index, name, bytes }) => this.#attach(bytes, name, named.find(({ id }) => String(id) === String(index))?.description));
  }

  #post(channelId: string, body: Json, files: Upload[]): Json {
    const channel = this.#writable(channelId);
    if (channel.locked) throw new Refusal(403, 160005, 'Thread is locked');
    if (channel.archived) channel.archived = false;
    this.#check('MessageCreateRequest', body, files);
    const nonce = body.nonce === undefined || body.nonce === null ? null : String(body.nonce);
    const known = nonce !== null && body.enforce_nonce === true ? this.#nonces.get(`${channelId} ${nonce}`) : undefined;
    if (known) return this.#messageBody(known, ~0);
    if (String(body.content ?? '') === '' && files.length === 0) throw new Refusal(400, 50006, 'Cannot send an empty message');
    const reference = body.message_reference as { message_id: string | number; fail_if_not_exists?: boolean } | undefined;
    const exists = reference && this.world.find(channelId, String(reference.message_id));
    if (reference && !exists && reference.fail_if_not_exists !== false) throw new Refusal(400, 50035, 'Invalid Form Body: message_reference: Unknown message');
    const message = this.#make(channel, body, files, exists && reference ? String(reference.message_id) : null, null, nonce);
    if (nonce !== null) this.#nonces.set(`${channelId} ${nonce}`, message);
    return this.#messageBody(message, ~0);
  }

  #make(channel: FakeChannel, body: Json, files: Upload[], replyTo: string | null, ephemeralFor: string | null, nonce: string | null): FakeMessage {
    const message = this.world.add({
      channel, author: this.world.bot, content: String(body.content ?? ''), attachments: this.#uploads(body, files), components: withIds(body.components), flags: Number(body.flags ?? 0),
      mentions: [], reference: replyTo === null ? null : { messageId: replyTo, type: 0, channel }, snapshot: null, nonce, ephemeralFor, webhook: false,
    });
    if (ephemeralFor === null) this.#tell('MESSAGE_CREATE', message);
    return message;
  }

  #change(message: FakeMessage, schema: string, body: Json, files: Upload[]): Json {
    this.#check(schema, body, files);
    if (message.channel.archived) throw new Refusal(400, 50083, 'Thread is archived');
    this.#apply(message, body, files);
    return this.#messageBody(message, ~0);
  }

  #apply(message: FakeMessage, body: Json, files: Upload[]): void {
    if (body.content !== undefined) {
      message.content = String(body.content ?? '');
      message.history.push(message.content);
    }
    if (body.components !== undefined) message.components = withIds(body.components);
    if (body.attachments !== undefined || files.length > 0) {
      const keep = new Set(((body.attachments ?? []) as { id: unknown }[]).map(({ id }) => String(id)));
      message.attachments = [...message.attachments.filter(({ id }) => keep.has(id)), ...this.#uploads(body, files)];
    }
    message.editedAt = Date.now();
    this.#tell('MESSAGE_UPDATE', message);
  }

  /** Tokens die after three seconds without an answer (real ones: the machine may be busy) and after fifteen minutes with one. */
  #callback(token: string, body: Json, files: Upload[], withResponse: boolean): Json | null {
    const interaction = this.interactions.get(token);
    const { secondMs } = this.#options;
    if (!interaction || Date.now() - interaction.createdAt > 3 * Math.max(secondMs, 1_000)) throw new Refusal(404, 10062, 'Unknown interaction');
    if (interaction.acknowledged !== null) throw new Refusal(400, 40060, 'Interaction has already been acknowledged.');
    const type = Number(body.type);
    const schema = type === 8 ? 'ApplicationCommandAutocompleteCallbackRequest' : type === 6 || type === 7 ? 'UpdateMessageInteractionCallbackRequest' : 'CreateMessageInteractionCallbackRequest';
    // discord.js adds its nonce here too; Discord takes no notice of it.
    const { nonce: _nonce, enforce_nonce: _enforced, ...data } = (body.data ?? {}) as Json;
    const plain = body.data === undefined ? body : { ...body, data };
    const { tts: _speech, ...published } = data;
    const wrong = violation(schema, plain) ?? unknownKeys(schema, type === 7 ? { ...plain, data: published } : plain);
    if (wrong) {
      this.violations.push(`call: ${wrong}`);
      throw new Refusal(400, 50035, `Invalid Form Body: ${wrong}`);
    }
    if (type === 4) this.#check('IncomingWebhookInteractionRequest', data, files);
    if (type === 7) this.#check('IncomingWebhookUpdateForInteractionCallbackRequestPartial', data, files);
    interaction.acknowledged = Date.now();
    interaction.ephemeral = (Number(data.flags ?? 0) & 64) !== 0;
    if (type === 8) interaction.said = JSON.stringify(data.choices);
    const shown = this.#showCallback(interaction, type, data, files);
    if (!withResponse) return null;
    const { id } = interaction;
    return {
      interaction: { id, type: interaction.type, ...(shown ? { response_message_id: shown.id, response_message_ephemeral: interaction.ephemeral } : {}), response_message_loading: type === 5 },
      ...(shown ? { resource: { type, message: this.#messageBody(shown, ~0) } } : {}),
    };
  }

  /** An immediate answer is a message, unless only one person sees it; an update changes the clicked one. */
  #showCallback(interaction: FakeInteraction, type: number, data: Json, files: Upload[]): FakeMessage | null {
    if (type === 7 && interaction.component) {
      this.#apply(interaction.component, data, files);
      return interaction.component;
    }
    if (type !== 4) return null;
    interaction.said = String(data.content ?? '');
    const message = this.#make(interaction.channel, data, files, null, interaction.ephemeral ? interaction.user.id : null, null);
    // Notes for one person are no part of the channel; they are read from `said`.
    if (interaction.ephemeral) this.world.remove(message);
    interaction.original = message.id;
    return message;
  }

  /** A token reaches what was sent by it, no other message of the channel. */
  #ownMessage(interaction: FakeInteraction, id: string): FakeMessage {
    if (interaction.original !== id && !interaction.followUps.has(id)) throw new Refusal(404, 10008, 'Unknown Message');
    return this.#message(interaction.channel.id, id);
  }

  #live(token: string): FakeInteraction {
    const interaction = this.interactions.get(token);
    if (!interaction || interaction.acknowledged === null) throw new Refusal(404, 10015, 'Unknown Webhook');
    if (Date.now() - interaction.createdAt > 900 * this.#options.secondMs) throw new Refusal(401, 50027, 'Invalid Webhook Token');
    return interaction;
  }

  #editOriginal(interaction: FakeInteraction, body: Json, files: Upload[]): Json {
    const known = interaction.original === null ? undefined : this.world.find(interaction.channel.id, interaction.original);
    if (known) return this.#change(known, 'IncomingWebhookUpdateRequestPartial', body, files);
    this.#check('IncomingWebhookUpdateRequestPartial', body, files);
    const message = this.#make(interaction.channel, body, files, null, interaction.ephemeral ? interaction.user.id : null, null);
    interaction.original = message.id;
    return this.#messageBody(message, ~0);
  }

  #followUp(interaction: FakeInteraction, body: Json, files: Upload[]): Json {
    this.#check('IncomingWebhookRequestPartial', body, files);
    if (String(body.content ?? '') === '' && files.length === 0) throw new Refusal(400, 50006, 'Cannot send an empty message');
    const hidden = (Number(body.flags ?? 0) & 64) !== 0;
    const message = this.#make(interaction.channel, body, files, null, hidden ? interaction.user.id : null, null);
    interaction.followUps.add(message.id);
    return this.#messageBody(message, ~0);
  }

  #serveFile(pathname: string, query: URLSearchParams, response: ServerResponse): void {
    const [, , , id = ''] = pathname.split('/');
    const attachment = this.#attachments.get(id);
    const fault = this.#takeFault('GET /attachments');
    this.calls.push({ route: 'GET /attachments', path: pathname, body: {}, files: 0, at: Date.now(), status: fault?.status ?? 200 });
    if (fault?.status === 302) return void response.writeHead(302, { location: 'http://127.0.0.1:1/secret' }).end();
    if (!attachment || query.get('hm') !== `sig${this.#signature}` || query.get('ex') === null) return void response.writeHead(404).end('This content is no longer available.');
    if (fault) {
      response.writeHead(200, { 'content-length': attachment.bytes.length });
      response.write(attachment.bytes.subarray(0, attachment.bytes.length >> 1), () => response.destroy());
      return;
    }
    response.writeHead(200, { 'content-type': attachment.contentType, 'content-length': attachment.bytes.length }).end(attachment.bytes);
  }
}

interface Upload {
  readonly index: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

function guildOf(channel: FakeChannel): Json {
  return channel.guildId === null ? {} : { guild_id: channel.guildId };
}

/** Discord takes ids as numbers too (discord.py sends them so); the published schemas know strings only. */
function withStringIds(body: Json): Json {
  const text = ([key, value]: [string, unknown]): [string, unknown] => [key, typeof value === 'number' && /(^|_)id$/.test(key) ? String(value) : value];
  const strings = (value: Json): Json => Object.fromEntries(Object.entries(value).map(text));
  return {
    ...body,
    ...(Array.isArray(body.attachments) ? { attachments: (body.attachments as Json[]).map(strings) } : {}),
    ...(body.message_reference ? { message_reference: strings(body.message_reference as Json) } : {}),
  };
}

/** Discord numbers the components of its answers. */
function withIds(components: unknown): Json[] {
  let id = 0;
  const number = (component: Json): Json => ({ ...component, id: ++id, ...(Array.isArray(component.components) ? { components: (component.components as Json[]).map(number) } : {}) });
  return ((components ?? []) as Json[]).map(number);
}

/** Ids written as numbers are longer than a double holds: they are kept as they are written. */
function parseBody(text: string): Json {
  const keepLong = (_key: string, value: unknown, context?: { source?: string }): unknown => (typeof value === 'number' && !Number.isSafeInteger(value) ? (context?.source ?? value) : value);
  return JSON.parse(text, keepLong) as Json;
}

async function readBody(request: IncomingMessage): Promise<{ body: Json; files: Upload[] }> {
  const files: Upload[] = [];
  if (!request.headers['content-type']?.startsWith('multipart/')) {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    return { body: text === '' ? {} : parseBody(text), files };
  }
  let body: Json = {};
  await new Promise<void>((resolve, reject) => {
    const parser = busboy({ headers: request.headers });
    parser.on('field', (name, value) => {
      if (name === 'payload_json') body = parseBody(value);
    });
    parser.on('file', (name, stream, { filename }) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => files.push({ index: /\d+/.exec(name)?.[0] ?? '0', name: filename ?? 'file', bytes: new Uint8Array(Buffer.concat(chunks)) }));
    });
    parser.on('close', resolve);
    parser.on('error', reject);
    request.pipe(parser);
  });
  return { body, files };
}
