// What every handler works with: the collaborators, given once, and the scene of one event (who, where,
// which settings and rights).
import type { Engine } from '../engine/types.ts';
import type { Logger } from '../log.ts';
import { everybody, type Gallery, type ImageFilter } from '../retrieval/types.ts';
import type { Chat, ChatStore, OutgoingMessage, User } from './contracts.ts';
import { type DeliveryLoop, type OutAction, payloadOf } from './delivery.ts';
import type { Directory } from './directory.ts';
import type { FairQueue } from './fair-queue.ts';
import { chooseLocale, type MessageArguments, type MessageKey, say } from './i18n/index.ts';
import type { Sanitize } from './intake.ts';
import type { BytesOf, ChatPlatform, OutUnit, SendTarget } from './platform.ts';
import type { RunningAnswers } from './running.ts';
import type { ChatServices } from './services.ts';
import type { ChatSettings } from './settings.ts';
import type { Author, ChatEvent, Locale, Place, PlatformName, Reply } from './types.ts';

export interface BotTimes {
  /** A waiting person is told the place after this, milliseconds. */
  readonly busyNoticeMs: number;
  /** An answer ends after this with reason `deadline`. */
  readonly answerMs: number;
  /** An album is complete after this silence, and at the latest after `albumMaxMs`. */
  readonly albumQuietMs: number;
  readonly albumMaxMs: number;
  /** A claim on an inbox or outbox row; a killed process's work is taken over after it. */
  readonly leaseMs: number;
}

export const defaultTimes: BotTimes = { busyNoticeMs: 1_500, answerMs: 180_000, albumQuietMs: 1_200, albumMaxMs: 5_000, leaseMs: 30_000 };

export interface Desk {
  readonly store: ChatStore;
  readonly directory: Directory;
  readonly engine: Engine;
  readonly gallery: Gallery | null;
  readonly services: ChatServices;
  readonly sanitize: Sanitize;
  /** `platform:id` of FROMAGE_ADMINS. */
  readonly operators: ReadonlySet<string>;
  readonly platforms: ReadonlyMap<PlatformName, ChatPlatform>;
  readonly deliveries: ReadonlyMap<PlatformName, DeliveryLoop>;
  readonly admission: FairQueue;
  readonly running: RunningAnswers;
  readonly times: BotTimes;
  readonly log: Logger;
}

/** One event with everything that is known around it. */
export interface Scene {
  readonly event: ChatEvent;
  /** Unique for ever: keys of rows that this event makes begin with it. */
  readonly key: string;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly platform: ChatPlatform;
  readonly delivery: DeliveryLoop;
  readonly place: Place;
  readonly author: Author;
  readonly user: User;
  readonly chat: Chat;
  /** Where settings of this chat are written. */
  readonly scope: string;
  readonly settings: ChatSettings;
  readonly locale: Locale;
  readonly standing: { readonly chatAdmin: boolean; readonly operator: boolean };
  readonly filter: ImageFilter;
}

export async function makeScene(desk: Desk, event: ChatEvent, attempt: number): Promise<Scene> {
  const { place, author } = event;
  const platform = desk.platforms.get(place.platform);
  const delivery = desk.deliveries.get(place.platform);
  if (!platform || !delivery) throw new Error(`no platform ${place.platform}`);
  const [user, chat, { scope, settings }] = await Promise.all([
    desk.directory.user(author),
    desk.directory.chat(place),
    desk.directory.settings(place),
  ]);
  const operator = desk.operators.has(author.id);
  return {
    event, attempt, platform, delivery, place, author, user, chat, scope, settings,
    key: `${place.platform}:${event.id}`,
    locale: chooseLocale(settings.language, author.locale),
    standing: { chatAdmin: author.chatAdmin || place.isPrivate, operator },
    filter: { tenants: tenantsOf(place) },
  };
}

/** Everybody's pictures, the server's and the chat's own. */
export function tenantsOf(place: Place): string[] {
  return [everybody, ...(place.guild === undefined ? [] : [place.guild]), chatTenant(place)];
}

export function chatTenant(place: Place): string {
  return `chat:${place.chat}`;
}

export function speak(scene: Scene, key: MessageKey, values?: MessageArguments): string {
  return say(scene.locale, key, values);
}

/** The message that an answer to this event replies to, and the interaction while it lives. */
export function targetOf(scene: Scene, replyTo?: string): SendTarget {
  const { event, place } = scene;
  const via = 'via' in event ? event.via : event.type === 'edit' ? event.message.via : undefined;
  return { place, ...(replyTo === undefined ? {} : { replyTo }), ...(via === undefined ? {} : { via }) };
}

/** Rows that send a whole reply; `key` must be new for each reply. */
export function sendReply(scene: Scene, reply: Reply, options: { readonly key?: string; readonly replyTo?: string; readonly turnId?: string } = {}): OutgoingMessage[] {
  const units = scene.platform.render(reply);
  const target = targetOf(scene, options.replyTo);
  return units.map((unit, i) => sendRow(scene, `${options.key ?? scene.key}:${i}`, { ...target, first: i === 0 }, unit, options.turnId));
}

export function sendRow(scene: Scene, key: string, target: SendTarget, unit: OutUnit, turnId?: string): OutgoingMessage {
  // Only the first message of an answer is a reply.
  const { replyTo: _dropped, ...without } = target;
  return row(scene, key, { action: 'send', target: target.first === false ? without : target, unit, tenants: scene.filter.tenants }, scene.platform.idempotentSend, turnId);
}

export function editRow(scene: Scene, key: string, messageId: string, unit: OutUnit, turnId?: string): OutgoingMessage {
  return row(scene, key, { action: 'edit', target: targetOf(scene), messageId, unit, tenants: scene.filter.tenants }, true, turnId);
}

export function removeRow(scene: Scene, key: string, messageId: string): OutgoingMessage {
  const { via } = targetOf(scene);
  return row(scene, key, { action: 'remove', place: scene.place, messageId, ...(via === undefined ? {} : { via }) }, true);
}

function row(scene: Scene, key: string, action: OutAction, idempotent: boolean, turnId?: string): OutgoingMessage {
  return {
    key,
    platform: scene.place.platform,
    chatId: scene.chat.id,
    lane: scene.place.key,
    payload: payloadOf(action),
    userId: scene.user.id,
    idempotent,
    ...(turnId === undefined ? {} : { turnId }),
  };
}

/** Bytes for a renderer: gallery pictures that the tenants may see, and exports. */
export function bytesFor(desk: Pick<Desk, 'gallery' | 'store'>, tenants: readonly string[]): BytesOf {
  return async ({ kind, id }) => {
    if (kind === 'gallery') return (await desk.gallery?.bytes(id, { tenants })) ?? null;
    const chunks: Uint8Array[] = [];
    for await (const chunk of await desk.store.userData.mydata(id)) chunks.push(chunk);
    return new Uint8Array(Buffer.concat(chunks));
  };
}
