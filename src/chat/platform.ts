// The seam between the bot and a platform. A platform renders replies into units within its limits, sends
// and edits them, shows typing and fetches pictures; it knows nothing of conversations.
import { type ErrorFacts, FromageError } from '../errors.ts';
import type { JsonObject } from './contracts.ts';
import type { PictureRef, Place, PlatformName, Reply, ReplyHandle } from './types.ts';

/**
 * One platform message (or album), rendered: plain JSON that only its platform reads further. A unit can
 * be edited into another of the same `form`; otherwise it is removed and sent anew.
 */
export interface OutUnit {
  readonly form: string;
  /** How many messages the platform makes of it: one, or the pictures of an album. */
  readonly count: number;
  /** Gallery pictures in it; with as many messages as pictures each message is one of them. */
  readonly pictures?: number;
  /** True while the answer still grows: such a change may be left out when the platform is busy. */
  readonly preview?: boolean;
  /** In a change: its pictures are there already and stay, only words and buttons are new. */
  readonly keepsPictures?: boolean;
  /** Gallery pictures stand under `pictures`, whatever the platform. */
  readonly body: JsonObject;
}

/** A change of what stands there; pictures that stay are not sent again. */
export function keepPictures(before: OutUnit | null, unit: OutUnit): OutUnit {
  const { pictures } = unit.body;
  const same = Array.isArray(pictures) && pictures.length > 0 && JSON.stringify(before?.body.pictures) === JSON.stringify(pictures);
  return same ? { ...unit, keepsPictures: true } : unit;
}

export interface SendTarget {
  readonly place: Place;
  /** The message that is answered. */
  readonly replyTo?: string;
  /** The interaction that is answered, while it lives. */
  readonly via?: ReplyHandle;
  /** True for the first unit of the answer to an interaction. */
  readonly first?: boolean;
}

/** Bytes named in a unit: a gallery picture by id, or a person's export by user id; null when they are gone. */
export type BytesOf = (source: { readonly kind: 'gallery' | 'mydata'; readonly id: string }) => Promise<Uint8Array | null>;

export interface StreamRule {
  /** `edit`: a message that grows; `draft`: a preview that is not a message; `none`: only the whole answer. */
  readonly mode: 'edit' | 'draft' | 'none';
  /** Least time between two changes, milliseconds. */
  readonly intervalMs: number;
}

export interface ChatPlatform {
  readonly name: PlatformName;
  /** True when a send repeated with the same nonce shows one message. */
  readonly idempotentSend: boolean;
  /** Typing is repeated this often, milliseconds. */
  readonly typingEveryMs: number;
  streamRule(place: Place): StreamRule;
  /** Every unit is within the platform's limits, whatever the reply holds. Blank text makes no unit. */
  render(reply: Reply): readonly OutUnit[];
  /**
   * @returns ids of the messages made (an album has several)
   * @throws DeliveryError saying whether it was surely not sent
   */
  send(target: SendTarget, unit: OutUnit, nonce: string, bytesOf: BytesOf): Promise<readonly string[]>;
  edit(target: SendTarget, messageId: string, unit: OutUnit, bytesOf: BytesOf): Promise<void>;
  remove(place: Place, messageId: string, via?: ReplyHandle): Promise<void>;
  /** Shows a growing preview; only where `streamRule` says `draft`. */
  draft?(place: Place, draftId: number, text: string): Promise<void>;
  typing(place: Place): Promise<void>;
  /** The bytes as they are at the platform, capped. @throws FromageError INTAKE_… */
  fetchPicture(ref: PictureRef, signal: AbortSignal): Promise<Uint8Array>;
}

/**
 * A request to a platform failed. `refused`: never sent and trying again will not help; `retry`: surely
 * not sent, again after `retryInMs`; `unknown`: it may have been sent; `gone`: what it is about is not
 * there any more, which is fine.
 */
export class DeliveryError extends FromageError {
  readonly outcome: 'refused' | 'retry' | 'unknown' | 'gone';
  readonly retryInMs: number;

  constructor(facts: ErrorFacts & { readonly outcome: DeliveryError['outcome']; readonly retryInMs?: number }) {
    super(facts);
    this.outcome = facts.outcome;
    this.retryInMs = facts.retryInMs ?? 5_000;
  }
}
