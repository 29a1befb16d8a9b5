// Who and where, remembered for a minute: rows of people, places and settings, so that a message costs
// no writes for what has not changed. What is changed here is forgotten at once.
import type { Chat, ChatStore, JsonObject, User } from './contracts.ts';
import { type ChatSettings, readSettings } from './settings.ts';
import type { Author, Place } from './types.ts';

const lifeMs = 60_000;
const mostEntries = 10_000;

/** Values by key, each for a minute; the oldest go when there are too many. */
class Memory<T> {
  readonly #entries = new Map<string, { readonly value: Promise<T>; readonly until: number }>();

  get(key: string, load: () => Promise<T>): Promise<T> {
    const known = this.#entries.get(key);
    if (known && known.until > Date.now()) return known.value;
    const value = load();
    this.#entries.set(key, { value, until: Date.now() + lifeMs });
    value.catch(() => this.#entries.delete(key));
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > mostEntries && oldest !== undefined) this.#entries.delete(oldest);
    return value;
  }

  forget(isGone: (key: string) => boolean = () => true): void {
    for (const key of this.#entries.keys()) if (isGone(key)) this.#entries.delete(key);
  }
}

export class Directory {
  readonly #store: Pick<ChatStore, 'conversations' | 'settings'>;
  readonly #users = new Memory<User>();
  readonly #chats = new Memory<Chat>();
  readonly #settings = new Memory<JsonObject>();

  constructor(store: Pick<ChatStore, 'conversations' | 'settings'>) {
    this.#store = store;
  }

  user({ id, name, locale }: Author): Promise<User> {
    return this.#users.get(JSON.stringify([id, name, locale ?? null]), () =>
      this.#store.conversations.ensureUser({ platform: platformOf(id), externalId: nativeId(id), ...(name === '' ? {} : { name }), ...(locale === undefined ? {} : { locale }) }),
    );
  }

  /** The row of a place, or of the chat that it belongs to (`key`). */
  chat(place: Place, key: string = place.key): Promise<Chat> {
    return this.#chats.get(key, () =>
      this.#store.conversations.ensureChat({
        platform: place.platform,
        externalId: nativeId(key),
        kind: place.isPrivate ? 'private' : 'group',
        ...(place.guild === undefined ? {} : { guildId: place.guild }),
      }),
    );
  }

  /** Settings of a chat: defaults, then the server's, then the chat's own. Threads and topics share those of their chat. */
  async settings(place: Place): Promise<{ scope: string; settings: ChatSettings }> {
    const scope = `chat:${(await this.chat(place, place.chat)).id}`;
    const layers = await Promise.all([...(place.guild === undefined ? [] : [place.guild]), scope].map((name) => this.scope(name)));
    return { scope, settings: readSettings(...layers) };
  }

  scope(name: string): Promise<JsonObject> {
    return this.#settings.get(name, () => this.#store.settings.all(name));
  }

  /** A setting was changed. */
  changed(scope: string): void {
    this.#settings.forget((key) => key === scope);
  }

  /** A person's row, or a place's, is no longer what it was. */
  moved(): void {
    this.#users.forget();
    this.#chats.forget();
  }
}

/** The native id behind `platform:native id`. */
export function nativeId(id: string): string {
  return id.slice(id.indexOf(':') + 1);
}

function platformOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}
