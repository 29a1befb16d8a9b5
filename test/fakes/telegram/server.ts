// A Telegram Bot API server on loopback: checks every call and answer against the published schemas,
// enforces the platform's limits, and fails on purpose where a test asks for it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import busboy from 'busboy';
import { callDefinition, fieldValue, resultDefinition, violation } from './schema.ts';
import { type FakeChat, type FakeMessage, type Json, TelegramWorld } from './world.ts';

export interface Fault {
  readonly method: string;
  /** Answers this instead; 0 closes the connection. */
  readonly status: number;
  readonly description?: string;
  readonly parameters?: Json;
  /** Does what was asked before it fails. */
  readonly afterEffect?: boolean;
  /** Carried out only then. */
  readonly held?: Promise<void>;
  readonly times?: number;
}

export interface Call {
  readonly method: string;
  readonly payload: Json;
  readonly files: readonly string[];
  readonly at: number;
  status: number;
  description?: string;
}

export interface FakeTelegramOptions {
  /** One second of the limits, milliseconds. */
  readonly secondMs?: number;
  /** Off for tests that are not about them. */
  readonly limits?: boolean;
}

class Refusal extends Error {
  readonly status: number;
  readonly parameters: Json | undefined;

  constructor(status: number, description: string, parameters?: Json) {
    super(description);
    this.status = status;
    this.parameters = parameters;
  }
}

export class FakeTelegram {
  readonly token = '4242:TEST-token_that-is-opaque';
  readonly world = new TelegramWorld();
  readonly calls: Call[] = [];
  readonly violations: string[] = [];
  readonly #options: Required<FakeTelegramOptions>;
  readonly #faults: (Fault & { left: number })[] = [];
  readonly #sent = new Map<number, number[]>();
  readonly #all: number[] = [];
  #server: Server | null = null;
  #waiting: { wake: () => void; conflict: () => void } | null = null;
  #allowed: readonly string[] = [];
  webhook: { url: string; secret: string } | null = null;
  url = '';

  constructor(options: FakeTelegramOptions = {}) {
    this.#options = { secondMs: 1_000, limits: true, ...options };
    this.world.onUpdate = () => this.#waiting?.wake();
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
  }

  async stop(): Promise<void> {
    this.#waiting?.wake();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault, left: fault.times ?? 1 });
  }

  /** Calls of a method, those that failed included. */
  called(method: string): Call[] {
    return this.calls.filter((call) => call.method === method);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', this.url).pathname;
    const file = path.match(/^\/file\/bot([^/]+)\/(.+)$/);
    if (file) return this.#serveFile(file[1]!, file[2]!, response);
    const match = path.match(/^\/bot([^/]+)\/(\w+)$/);
    if (!match) return send(response, 404, { ok: false, error_code: 404, description: 'Not Found' });
    const method = match[2]!;
    const { payload, files } = await readBody(request, method);
    if (decodeURIComponent(match[1]!) !== this.token) return send(response, 401, { ok: false, error_code: 401, description: 'Unauthorized' });
    const call: Call = { method, payload, files: [...files.keys()], at: Date.now(), status: 200 };
    this.calls.push(call);
    const fault = this.#takeFault(method);
    await fault?.held;
    try {
      this.#checkCall(method, payload, files);
      if (fault && fault.status !== 200 && !fault.afterEffect) throw new Refusal(fault.status, fault.description ?? 'made to fail', fault.parameters);
      const { method: _echo, ...parameters } = payload;
      const result = await this.#perform(method, parameters, files, request);
      const wrong = violation(resultDefinition(method), result);
      if (wrong) this.violations.push(`answer: ${wrong}`);
      if (fault && fault.status !== 200) throw new Refusal(fault.status, fault.description ?? 'made to fail', fault.parameters);
      send(response, 200, { ok: true, result });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      call.status = error.status;
      call.description = error.message;
      if (error.status === 0) response.destroy();
      else send(response, error.status, { ok: false, error_code: error.status, description: error.message, ...(error.parameters ? { parameters: error.parameters } : {}) });
    }
  }

  #takeFault(method: string): Fault | null {
    const at = this.#faults.findIndex((fault) => fault.method === method && fault.left > 0);
    if (at < 0) return null;
    const fault = this.#faults[at]!;
    if (--fault.left === 0) this.#faults.splice(at, 1);
    return fault;
  }

  #checkCall(method: string, { method: _echo, ...parameters }: Json, files: ReadonlyMap<string, Uint8Array>): void {
    const wrong = violation(callDefinition(method), parameters);
    if (wrong) {
      this.violations.push(`call: ${wrong}`);
      throw new Refusal(400, `Bad Request: ${wrong}`);
    }
    for (const name of attachments(parameters)) if (!files.has(name)) this.violations.push(`call: attach://${name} has no part`);
  }

  async #perform(method: string, parameters: Json, files: Map<string, Uint8Array>, request: IncomingMessage): Promise<unknown> {
    switch (method) {
      case 'getMe':
        return { ...this.world.bot, can_join_groups: true, can_read_all_group_messages: false, supports_inline_queries: false };
      case 'getUpdates':
        return this.#getUpdates(parameters, request);
      case 'setWebhook':
        if (!String(parameters.url).startsWith('https://')) throw new Refusal(400, 'Bad Request: bad webhook: An HTTPS URL must be provided for webhook');
        this.webhook = { url: String(parameters.url), secret: String(parameters.secret_token ?? '') };
        return true;
      case 'deleteWebhook':
        this.webhook = null;
        return true;
      case 'setMyCommands':
        if ((parameters.commands as unknown[]).length > 100) throw new Refusal(400, 'Bad Request: BOT_COMMANDS_TOO_MUCH');
        return true;
      case 'getChatAdministrators':
        return (this.world.admins.get(parameters.chat_id as number) ?? []).map((user) => ({ status: 'creator', user, is_anonymous: false }));
      case 'sendChatAction':
        this.#chat(parameters);
        return true;
      case 'sendMessageDraft': {
        const chat = this.#chat(parameters);
        if (chat.type !== 'private') throw new Refusal(400, 'Bad Request: drafts are for private chats');
        checkText(String(parameters.text ?? ''), 4_096, 'MESSAGE_TOO_LONG');
        const key = `${chat.id}:${String(parameters.draft_id)}`;
        this.world.drafts.set(key, [...(this.world.drafts.get(key) ?? []), String(parameters.text)]);
        return true;
      }
      case 'getFile': {
        const file = this.world.files.get(String(parameters.file_id));
        if (!file) throw new Refusal(400, 'Bad Request: invalid file_id');
        if (file.bytes.length > 20_000_000) throw new Refusal(400, 'Bad Request: file is too big');
        return { file_id: parameters.file_id, file_unique_id: `u-${String(parameters.file_id)}`, file_size: file.bytes.length, file_path: file.path };
      }
      case 'answerCallbackQuery': {
        const click = this.world.clicks.get(String(parameters.callback_query_id));
        if (!click || Date.now() - click.at > 60 * this.#options.secondMs) throw new Refusal(400, 'Bad Request: query is too old and response timeout expired or query ID is invalid');
        if (String(parameters.text ?? '').length > 200) throw new Refusal(400, 'Bad Request: MESSAGE_TOO_LONG');
        click.answered = true;
        click.text = typeof parameters.text === 'string' ? parameters.text : null;
        return true;
      }
      case 'sendMessage':
        return this.#post(parameters, 1, (text) => ({ text, ...(parameters.entities ? { entities: parameters.entities } : {}) }));
      case 'sendPhoto':
        return this.#post(parameters, 1, () => ({ photo: this.world.photoSizes(uploaded(parameters.photo, files)), ...captionOf(parameters) }));
      case 'sendDocument':
        return this.#post(parameters, 1, () => ({ ...this.#document(parameters.document, files), ...captionOf(parameters) }));
      case 'sendMediaGroup':
        return this.#postAlbum(parameters, files);
      case 'editMessageText': {
        const message = this.#own(parameters, 'edit');
        if (message.text === undefined) throw new Refusal(400, 'Bad Request: there is no text in the message to edit');
        const text = checkText(String(parameters.text), 4_096, 'MESSAGE_TOO_LONG');
        const before = JSON.stringify([message.text, message.entities ?? [], message.reply_markup ?? null]);
        if (before === JSON.stringify([text, parameters.entities ?? [], parameters.reply_markup ?? null])) throw new Refusal(400, 'Bad Request: message is not modified: specified new message content and reply markup are exactly the same');
        this.#rate(message.chat, 1);
        message.text = text;
        message.entities = parameters.entities ?? [];
        if (parameters.reply_markup) message.reply_markup = markup(parameters);
        else delete message.reply_markup;
        return message;
      }
      case 'editMessageMedia': {
        const message = this.#own(parameters, 'edit');
        const media = parameters.media as Json;
        this.#rate(message.chat, 1);
        delete message.text;
        delete message.caption;
        Object.assign(message, media.type === 'document' ? this.#document(media.media, files) : { photo: this.world.photoSizes(uploaded(media.media, files)) }, captionOf(media));
        if (parameters.reply_markup) message.reply_markup = markup(parameters);
        else delete message.reply_markup;
        return message;
      }
      case 'editMessageReplyMarkup': {
        const message = this.#own(parameters, 'edit');
        if (parameters.reply_markup) message.reply_markup = markup(parameters);
        return message;
      }
      case 'deleteMessage': {
        const message = this.#own(parameters, 'delete');
        const list = this.world.in(message.chat.id);
        list.splice(list.indexOf(message), 1);
        return true;
      }
      default:
        throw new Refusal(404, 'Not Found: method not found');
    }
  }

  #document(given: unknown, files: Map<string, Uint8Array>): Json {
    return { document: { file_id: this.world.addFile(uploaded(given, files)), file_unique_id: 'u-doc' } };
  }

  async #getUpdates(parameters: Json, request: IncomingMessage): Promise<Json[]> {
    if (this.webhook) throw new Refusal(409, 'Conflict: can\'t use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first');
    this.#waiting?.conflict();
    const { updates } = this.world;
    const offset = parameters.offset as number | undefined;
    // An offset confirms every update below it.
    if (offset !== undefined) updates.splice(0, updates.findLastIndex((update) => (update.update_id as number) < offset) + 1);
    if (parameters.allowed_updates) this.#allowed = parameters.allowed_updates as string[];
    const ready = (): Json[] => updates.filter((update) => this.#isAllowed(update)).slice(0, (parameters.limit as number | undefined) ?? 100);
    const until = Date.now() + ((parameters.timeout as number | undefined) ?? 0) * this.#options.secondMs;
    let conflict = false;
    let gone = false;
    const left = (): void => {
      gone = true;
      this.#waiting?.wake();
    };
    request.socket.once('close', left);
    while (ready().length === 0 && Date.now() < until && !conflict && !gone) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, until - Date.now());
        const mine = {
          wake: () => { clearTimeout(timer); resolve(); },
          conflict: () => { conflict = true; clearTimeout(timer); resolve(); },
        };
        this.#waiting = mine;
      });
    }
    request.socket.off('close', left);
    if (!conflict) this.#waiting = null;
    if (conflict) throw new Refusal(409, 'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running');
    if (gone) throw new Refusal(0, 'gone');
    for (const update of ready()) {
      const wrong = violation('Update', update);
      if (wrong) this.violations.push(`update: ${wrong}`);
    }
    return ready();
  }

  #isAllowed(update: Json): boolean {
    const kind = Object.keys(update).find((key) => key !== 'update_id') ?? '';
    return this.#allowed.length === 0 ? kind !== 'message_reaction' : this.#allowed.includes(kind);
  }

  #chat(parameters: Json): FakeChat {
    const id = parameters.chat_id as number;
    const moved = this.world.migrated.get(id);
    if (moved !== undefined) throw new Refusal(400, 'Bad Request: group chat was upgraded to a supergroup chat', { migrate_to_chat_id: moved });
    if (this.world.blocked.has(id)) throw new Refusal(403, 'Forbidden: bot was blocked by the user');
    if (id > 0) return { id, type: 'private', first_name: `User${id}` };
    return { id, type: 'supergroup', title: `Group ${id}` };
  }

  #own(parameters: Json, what: string): FakeMessage {
    const message = this.world.find(this.#chat(parameters).id, parameters.message_id as number);
    if (!message || message.from?.id !== this.world.bot.id) throw new Refusal(400, `Bad Request: message to ${what} not found`);
    return message;
  }

  /** About one message a second per chat, 20 a minute per group, 30 a second in all. */
  #rate(chat: FakeChat, weight: number): void {
    const { secondMs, limits } = this.#options;
    if (!limits) return;
    const now = Date.now();
    const mine = this.#sent.get(chat.id) ?? [];
    const within = (list: number[], ms: number): number => list.filter((at) => at > now - ms).length;
    const retry = (seconds: number): never => { throw new Refusal(429, `Too Many Requests: retry after ${seconds}`, { retry_after: seconds }); };
    if (within(mine, 0.9 * secondMs) >= 1) retry(1);
    if (chat.type !== 'private' && within(mine, 60 * secondMs) + weight > 20) retry(Math.ceil((mine.at(-20)! + 60 * secondMs - now) / secondMs) || 1);
    if (within(this.#all, secondMs) + weight > 30) retry(1);
    for (let i = 0; i < weight; i++) {
      this.#all.push(now);
      mine.push(now);
    }
    this.#sent.set(chat.id, mine);
  }

  #reply(parameters: Json, chat: FakeChat): Json {
    const wanted = parameters.reply_parameters as { message_id: number; allow_sending_without_reply?: boolean } | undefined;
    if (!wanted) return {};
    const message = this.world.find(chat.id, wanted.message_id);
    if (!message && !wanted.allow_sending_without_reply) throw new Refusal(400, 'Bad Request: message to be replied not found');
    const { reply_to_message: _nested, ...bare } = message ?? {};
    return message ? { reply_to_message: bare } : {};
  }

  #post(parameters: Json, weight: number, body: (text: string) => Json): FakeMessage {
    const chat = this.#chat(parameters);
    const text = parameters.text === undefined ? '' : checkText(String(parameters.text), 4_096, 'message is too long');
    checkEntities(text === '' ? String(parameters.caption ?? '') : text, parameters.entities ?? parameters.caption_entities);
    const reply = this.#reply(parameters, chat);
    const buttons = parameters.reply_markup ? { reply_markup: markup(parameters) } : {};
    this.#rate(chat, weight);
    const topic = parameters.message_thread_id === undefined ? {} : { message_thread_id: parameters.message_thread_id, is_topic_message: true };
    return this.world.post(chat, { ...body(text), ...reply, ...buttons, ...topic });
  }

  #postAlbum(parameters: Json, files: Map<string, Uint8Array>): FakeMessage[] {
    const media = parameters.media as Json[];
    if (media.length < 2 || media.length > 10) throw new Refusal(400, 'Bad Request: group send failed: wrong number of items');
    const chat = this.#chat(parameters);
    const reply = this.#reply(parameters, chat);
    this.#rate(chat, media.length);
    const groupId = String(Date.now());
    const topic = parameters.message_thread_id === undefined ? {} : { message_thread_id: parameters.message_thread_id, is_topic_message: true };
    return media.map((item) => this.world.post(chat, { photo: this.world.photoSizes(uploaded(item.media, files)), media_group_id: groupId, ...captionOf(item), ...reply, ...topic }));
  }

  #serveFile(token: string, path: string, response: ServerResponse): void {
    const fault = this.#takeFault('file');
    const file = [...this.world.files.values()].find((one) => one.path === path);
    if (decodeURIComponent(token) !== this.token || !file || file.expiresAt < Date.now()) return void response.writeHead(404).end();
    if (fault && fault.status === 302) return void response.writeHead(302, { location: 'http://127.0.0.1:1/secret' }).end();
    if (fault) {
      // A truncated download.
      response.writeHead(200, { 'content-length': file.bytes.length });
      response.write(file.bytes.subarray(0, file.bytes.length >> 1), () => response.destroy());
      return;
    }
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file.bytes.length }).end(file.bytes);
  }
}

function send(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** JSON, a form with files or one without: clients use all three. */
async function readBody(request: IncomingMessage, method: string): Promise<{ payload: Json; files: Map<string, Uint8Array> }> {
  const files = new Map<string, Uint8Array>();
  if (!request.headers['content-type']?.startsWith('multipart/')) {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
      return { payload: Object.fromEntries([...new URLSearchParams(text)].map(([name, value]) => [name, fieldValue(method, name, value)])), files };
    }
    return { payload: text === '' ? {} : (JSON.parse(text) as Json), files };
  }
  const payload: Json = {};
  await new Promise<void>((resolve, reject) => {
    const parser = busboy({ headers: request.headers });
    parser.on('field', (name, value) => {
      payload[name] = fieldValue(method, name, value);
    });
    parser.on('file', (name, stream) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        files.set(name, new Uint8Array(Buffer.concat(chunks)));
        if (name === 'photo' || name === 'document') payload[name] = `attach://${name}`;
      });
    });
    parser.on('close', resolve);
    parser.on('error', reject);
    request.pipe(parser);
  });
  return { payload, files };
}

function attachments(value: unknown): string[] {
  return [...JSON.stringify(value).matchAll(/"attach:\/\/([^"]+)"/g)].map((match) => match[1]!);
}

function uploaded(value: unknown, files: Map<string, Uint8Array>): Uint8Array {
  const bytes = files.get(String(value).replace('attach://', ''));
  if (!bytes || bytes.length === 0) throw new Refusal(400, 'Bad Request: there is no photo in the request');
  if (bytes.length > 10_000_000) throw new Refusal(413, 'Request Entity Too Large');
  return bytes;
}

/** Telegram counts UTF-16 units after entities were parsed. */
function checkText(text: string, limit: number, tooLong: string): string {
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(text)) throw new Refusal(400, 'Bad Request: message text is empty');
  if (text.length > limit) throw new Refusal(400, `Bad Request: ${tooLong}`);
  if (!text.isWellFormed()) throw new Refusal(400, 'Bad Request: strings must be encoded in UTF-8');
  return text;
}

function checkEntities(text: string, entities: unknown): void {
  for (const { offset, length } of (entities ?? []) as { offset: number; length: number }[]) {
    if (offset < 0 || length <= 0 || offset + length > text.length) throw new Refusal(400, `Bad Request: can't parse entities: entity ends after the end of the text at offset ${offset}`);
  }
}

function captionOf(parameters: Json): Json {
  if (parameters.caption === undefined) return {};
  if (String(parameters.caption).length > 1_024) throw new Refusal(400, 'Bad Request: message caption is too long');
  return { caption: parameters.caption, ...(parameters.caption_entities ? { caption_entities: parameters.caption_entities } : {}) };
}

function markup(parameters: Json): NonNullable<FakeMessage['reply_markup']> {
  const keyboard = parameters.reply_markup as NonNullable<FakeMessage['reply_markup']>;
  for (const { callback_data: data = 'x' } of keyboard.inline_keyboard.flat()) {
    const bytes = Buffer.byteLength(data);
    if (bytes < 1 || bytes > 64) throw new Refusal(400, 'Bad Request: BUTTON_DATA_INVALID');
  }
  return keyboard;
}
