// Joins messages that are one turn: the pictures of an album, forwarded messages, and the comment sent
// with them. Platforms deliver each for itself and mark no end. They wait in the conversation's lane; its
// head looks at what stands behind it until no more comes, and all of them are done together. Nothing is
// kept in memory that a restart would need.
import { setTimeout as sleep } from 'node:timers/promises';
import { findCommand } from './commands.ts';
import type { ClaimedUpdate, Inbox, WaitingUpdate } from './contracts.ts';
import { Interrupted, type RunningAnswers } from './running.ts';
import type { ChatEvent, CommandEvent, MessageEvent, QuotedMessage } from './types.ts';

export type TurnEvent = MessageEvent | CommandEvent;

export interface GatherOptions {
  readonly inbox: Pick<Inbox, 'waiting'>;
  /** The turn is complete after this silence, milliseconds. */
  readonly quietMs: number;
  /** And at the latest after this. */
  readonly maxMs: number;
  /** Since when events arrive: after a restart the rest of an album is still to come. Milliseconds since 1970. */
  readonly openedAt: () => number;
  /** Aborts when the process ends. */
  readonly closing: AbortSignal;
}

export interface Gathered {
  readonly event: TurnEvent;
  /** Update ids of the waiting ones that are part of it. */
  readonly joined: readonly string[];
}

/** Telegram tells time in seconds; comment and forwarded messages are sent by one press. */
const sameMomentMs = 2_000;
const fullAlbum = 10;
const mostWaiting = 50;
/** A turn that was begun so often is not begun again for one part more. */
const mostAttempts = 4;

export class Gatherer {
  readonly #options: GatherOptions;
  /** The turn that each conversation is at. */
  readonly #groups = new Map<string, { readonly events: readonly TurnEvent[]; readonly attempt: number }>();

  constructor(options: GatherOptions) {
    this.#options = options;
  }

  /**
   * Everything that belongs to the claimed head of a lane. What stands alone does not wait.
   *
   * @throws Interrupted when the process ends meanwhile
   */
  async gather(claim: ClaimedUpdate, head: TurnEvent): Promise<Gathered> {
    const { inbox, quietMs, maxMs, openedAt, closing } = this.#options;
    const begun = Date.now();
    for (;;) {
      this.#groups.set(head.place.key, { events: [head], attempt: claim.attempt });
      const { events, updates } = groupOf(head, await inbox.waiting(claim.platform, { lane: claim.lane, limit: mostWaiting }));
      this.#groups.set(head.place.key, { events, attempt: claim.attempt });
      const newest = Math.max(claim.receivedAt, openedAt(), ...updates.map(({ receivedAt }) => receivedAt));
      const wait = mayGrow(events) ? Math.min(newest + quietMs, begun + maxMs) - Date.now() : 0;
      if (wait <= 0) return { event: joinTurn(events), joined: updates.map(({ updateId }) => updateId) };
      await sleep(wait, undefined, { signal: closing }).catch(() => {
        throw new Interrupted('shutdown');
      });
    }
  }

  /** True when an event that has just arrived belongs to the turn that is being answered. */
  continues(event: ChatEvent): boolean {
    const group = this.#groups.get(event.place.key);
    return group !== undefined && group.attempt < mostAttempts && isTurn(event) && !group.events.some(({ id }) => id === event.id) && belongs(group.events, event);
  }

  /** Has the answer to the turn that a conversation is at begun anew. */
  grow(placeKey: string, running: RunningAnswers): void {
    const events = this.#groups.get(placeKey)?.events;
    const messageId = events && joinTurn(events).messageId;
    if (messageId !== undefined) running.grow(placeKey, messageId);
  }

  /** The turn is over. */
  end(placeKey: string): void {
    this.#groups.delete(placeKey);
  }
}

/** True for what can be part of a turn of several messages: messages, and commands that are about pictures. */
export function isTurn(event: ChatEvent): event is TurnEvent {
  if (event.type === 'message') return true;
  return event.type === 'command' && event.messageId !== undefined && (event.albumId !== undefined || takesPictures(event.command));
}

/**
 * What it is part of is only known when the rest is there: whether a part of an album names the bot, and
 * whether somebody speaks to the bot of what they have just forwarded. Without the intent for message
 * content Discord hides what a forward holds: such a one is empty and stays out.
 */
export function mayBePart(event: MessageEvent): boolean {
  return event.albumId !== undefined || (event.forwarded === true && (event.text !== '' || event.pictures.length > 0));
}

function takesPictures(command: string): boolean {
  return findCommand(command)?.options.some(({ kind }) => kind === 'picture') ?? false;
}

function groupOf(head: TurnEvent, waiting: readonly WaitingUpdate[]): { events: TurnEvent[]; updates: WaitingUpdate[] } {
  const events = [head];
  const updates: WaitingUpdate[] = [];
  let over = false;
  for (const update of waiting) {
    const event = update.payload as unknown as ChatEvent;
    if (!isTurn(event)) continue;
    // What follows other words of the same person belongs to those; only an album's pictures tell what they are of.
    if (belongs(events, event) && (!over || event.albumId !== undefined)) {
      events.push(event);
      updates.push(update);
    } else over ||= event.author.id === head.author.id;
  }
  return { events, updates };
}

function isForwarded(event: TurnEvent): boolean {
  return event.type === 'message' && event.forwarded === true;
}

/** One album; or forwarded messages of one moment, with one comment before or after them. */
function belongs(group: readonly TurnEvent[], next: TurnEvent): boolean {
  const last = group.at(-1)!;
  if (last.author.id !== next.author.id) return false;
  if (next.albumId !== undefined && group.some(({ albumId }) => albumId === next.albumId)) return true;
  const all = [...group, next];
  const comments = all.filter((event) => !isForwarded(event));
  if (comments.length === all.length || comments.length > 1 || comments.some(({ albumId }) => albumId !== undefined)) return false;
  return Math.abs(next.at - last.at) <= sameMomentMs;
}

/** Words alone are answered at once; should a forwarded message follow, they are answered again with it. */
function mayGrow(events: readonly TurnEvent[]): boolean {
  if (events.length >= fullAlbum && events.every(({ albumId }) => albumId !== undefined && albumId === events[0]!.albumId)) return false;
  return events.some((event) => event.albumId !== undefined || isForwarded(event));
}

/**
 * One event of all, in the order of their message ids, under the first one's event id. What was forwarded
 * with a comment or a command stands before it as what it is about.
 */
export function joinTurn(events: readonly TurnEvent[]): TurnEvent {
  const [head] = events;
  if (events.length === 1) return head!;
  const ordered = events.toSorted((a, b) => compareIds(a.messageId ?? '', b.messageId ?? ''));
  const comment = ordered.find(({ type }) => type === 'command') ?? ordered.find((event) => !isForwarded(event) && wordsOf(event) !== '') ?? ordered[0]!;
  const quoted = isForwarded(comment) ? [] : ordered.filter(isForwarded);
  const own = ordered.filter((event) => !quoted.includes(event));
  const replyTo = ordered.find((event) => event.replyTo)?.replyTo ?? quoteOf(quoted);
  const shared = {
    id: head!.id,
    pictures: own.flatMap(({ pictures }) => pictures),
    messageIds: ordered.flatMap(({ messageId }) => messageId ?? []),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
  const { albumId: _joined, ...lead } = comment;
  if (lead.type === 'command') return { ...lead, ...shared };
  const strength = ['none', 'private', 'reply', 'mention', 'menu'] as const;
  const addressed = strength[Math.max(...ordered.map((event) => strength.indexOf(event.type === 'message' ? event.addressed : 'none')))]!;
  return { ...lead, ...shared, addressed, text: own.map(wordsOf).filter((text) => text !== '').join('\n') };
}

function wordsOf(event: TurnEvent): string {
  return event.type === 'message' ? event.text : '';
}

function quoteOf(forwarded: readonly TurnEvent[]): QuotedMessage | undefined {
  if (forwarded.length === 0) return undefined;
  const author = forwarded.find((event) => event.type === 'message' && event.forwardedFrom !== undefined) as MessageEvent | undefined;
  return {
    messageId: forwarded[0]!.messageId ?? '',
    own: false,
    forwarded: true,
    text: forwarded.map(wordsOf).filter((text) => text !== '').join('\n'),
    pictures: forwarded.flatMap(({ pictures }) => pictures),
    ...(author?.forwardedFrom === undefined ? {} : { author: author.forwardedFrom }),
  };
}

/** Message ids are numbers written out, of Discord larger than a double holds. */
function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
