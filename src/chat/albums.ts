// Joins the messages of an album into one turn. Each message is stored for itself; they wait here
// together until no more come, then one event with all pictures takes their place. After a crash they
// are worked off again, gather again, and the joined event is recognised by its id.
import type { MessageEvent } from './types.ts';

export interface AlbumTimes {
  /** The album is complete after this silence. */
  readonly quietMs: number;
  /** And at the latest after this. */
  readonly maxMs: number;
}

interface Group {
  readonly items: Map<string, MessageEvent>;
  readonly deadline: number;
  timer: NodeJS.Timeout;
  readonly done: Promise<MessageEvent>;
  finish(): void;
}

const mostPictures = 10;

export class AlbumCollector {
  readonly #times: AlbumTimes;
  readonly #groups = new Map<string, Group>();

  constructor(times: AlbumTimes) {
    this.#times = times;
  }

  /** Adds one message; resolves for all of the group with the joined event. */
  add(item: MessageEvent): Promise<MessageEvent> {
    const key = `${item.place.key} ${item.albumId ?? item.messageId}`;
    const group = this.#groups.get(key) ?? this.#open(key);
    group.items.set(item.messageId, item);
    clearTimeout(group.timer);
    if (group.items.size >= mostPictures) group.finish();
    else group.timer = setTimeout(() => group.finish(), Math.max(0, Math.min(this.#times.quietMs, group.deadline - Date.now())));
    return group.done;
  }

  #open(key: string): Group {
    const { promise, resolve } = Promise.withResolvers<MessageEvent>();
    const items = new Map<string, MessageEvent>();
    const finish = (): void => {
      clearTimeout(group.timer);
      if (this.#groups.delete(key)) resolve(joinAlbum([...items.values()]));
    };
    const group: Group = { items, deadline: Date.now() + this.#times.maxMs, timer: setTimeout(finish, this.#times.quietMs), done: promise, finish };
    this.#groups.set(key, group);
    return group;
  }
}

/** One message of all: pictures in the order of their message ids, the words of whichever has them. */
export function joinAlbum(items: readonly MessageEvent[]): MessageEvent {
  const ordered = items.toSorted((a, b) => a.messageId.length - b.messageId.length || (a.messageId < b.messageId ? -1 : 1));
  const spoken = ordered.find(({ text }) => text !== '') ?? ordered[0]!;
  const strength = ['none', 'private', 'reply', 'mention', 'menu'] as const;
  const addressed = strength[Math.max(...ordered.map((item) => strength.indexOf(item.addressed)))]!;
  const first = ordered[0]!;
  const replyTo = ordered.find((item) => item.replyTo)?.replyTo;
  const { albumId, ...rest } = spoken;
  return {
    ...rest,
    id: `album:${first.place.key}:${albumId ?? first.messageId}`,
    messageId: first.messageId,
    at: first.at,
    addressed,
    pictures: ordered.flatMap(({ pictures }) => pictures),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
}
