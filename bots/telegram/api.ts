// The Bot API through telegraf's client: one call function for every method, errors sorted by what is
// known about the request, nothing of the token or the text in any of them.
import { createHash } from 'node:crypto';
import { Telegram, TelegramError } from 'telegraf';
import { DeliveryError } from '../../src/chat/index.ts';

export interface TelegramApiOptions {
  readonly token: string;
  /** `https://api.telegram.org` by default. */
  readonly apiRoot: string;
  /** Milliseconds for one request, default 60,000. */
  readonly timeoutMs?: number;
  /** One second of the server's limits, milliseconds: tests run on shorter ones. */
  readonly secondMs?: number;
}

export type CallPayload = Readonly<Record<string, unknown>>;

type AnyCall = (method: string, payload: CallPayload, options: { signal: AbortSignal }) => Promise<unknown>;

export class TelegramApi {
  readonly #client: Telegram;
  readonly #options: TelegramApiOptions;

  constructor(options: TelegramApiOptions) {
    this.#options = options;
    // webhookReply would confirm an update before it is stored, and hide errors.
    this.#client = new Telegram(options.token, { apiRoot: options.apiRoot, webhookReply: false });
  }

  /**
   * Calls any method, also those that telegraf has no types for.
   *
   * @throws DeliveryError
   */
  async call<T>(method: string, payload: CallPayload = {}, options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {}): Promise<T> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? this.#options.timeoutMs ?? 60_000);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    const call = this.#client.callApi.bind(this.#client) as unknown as AnyCall;
    try {
      return (await call(method, payload, { signal })) as T;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw deliveryError(method, error, this.#options.secondMs);
    }
  }

  /** Where a file lies. The address holds the token: it must not be logged, stored or shown. */
  fileAddress(filePath: string): string {
    return new URL(`/file/bot${this.#options.token}/${filePath}`, this.#options.apiRoot).href;
  }

  /** Names this bot without telling the token. */
  get fingerprint(): string {
    return createHash('sha256').update(this.#options.token).digest('hex').slice(0, 12);
  }
}

/** Answers that only say: it is like that already, or not there any more. */
const benign = /message is not modified|query is too old|query id is invalid|message to (edit|delete|be replied|react) not found|message can't be (edited|deleted)|MESSAGE_ID_INVALID/i;

/** Sorts an error of telegraf by what is known of the request. */
export function deliveryError(method: string, error: unknown, secondMs = 1_000): DeliveryError {
  if (error instanceof TelegramError) {
    const { error_code: status, description, parameters } = error.response;
    const migratedTo = (parameters as { migrate_to_chat_id?: number } | undefined)?.migrate_to_chat_id;
    const facts = { code: 'TELEGRAM_REFUSED', what: `${method} was answered ${status}: ${description}`, why: 'Telegram refused the request' };
    if (migratedTo !== undefined) return new MigratedError(method, String(migratedTo));
    if (status === 429) {
      return new DeliveryError({ ...facts, code: 'TELEGRAM_FLOOD', outcome: 'retry', retryInMs: ((parameters?.retry_after ?? 5) + 0.1) * secondMs, retryable: true });
    }
    if (status === 400 && benign.test(description)) return new DeliveryError({ ...facts, outcome: 'gone' });
    // A gateway in between may answer 5xx after the request was carried out.
    if (status >= 500) return new DeliveryError({ ...facts, code: 'TELEGRAM_SERVER', outcome: 'unknown', retryInMs: 2_000, retryable: true });
    return new DeliveryError({ ...facts, outcome: 'refused' });
  }
  const code = (error as { code?: unknown } | null)?.code;
  const neverLeft = typeof code === 'string' && ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'].includes(code);
  const name = typeof code === 'string' ? code : error instanceof Error ? error.name : 'unknown';
  return new DeliveryError({
    code: 'TELEGRAM_NETWORK',
    what: `${method} failed on the way (${name})`,
    outcome: neverLeft ? 'retry' : 'unknown',
    retryInMs: 2_000,
    retryable: true,
  });
}

/** The group became a supergroup; the message goes to its new id. */
export class MigratedError extends DeliveryError {
  readonly chatId: string;

  constructor(method: string, chatId: string) {
    super({ code: 'TELEGRAM_MIGRATED', what: `${method}: the group has become a supergroup`, outcome: 'retry', retryInMs: 0, retryable: true });
    this.chatId = chatId;
  }
}
