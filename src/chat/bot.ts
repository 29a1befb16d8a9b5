// The bot: takes events from platforms into the inbox, works them off in order per conversation and side
// by side between conversations, and starts and ends in order. Everything it does survives the process.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../engine/types.ts';
import { FromageError } from '../errors.ts';
import { log as rootLog, type Logger } from '../log.ts';
import type { Gallery } from '../retrieval/types.ts';
import { apology, hasWords } from './apology.ts';
import type { ChatStore, ClaimedUpdate, IncomingUpdate, JsonValue, OutgoingMessage } from './contracts.ts';
import { findCommand } from './commands.ts';
import { DeliveryLoop } from './delivery.ts';
import { type BotTimes, bytesFor, defaultTimes, type Desk, makeScene, type Scene, sendReply, speak } from './desk.ts';
import { Directory, nativeId } from './directory.ts';
import { FairQueue } from './fair-queue.ts';
import { type Gathered, Gatherer, isTurn, mayBePart } from './gather.ts';
import { handleCommand } from './handle-command.ts';
import { handleButton, handleReaction } from './handle-feedback.ts';
import { handleDelete, handleEdit, handleMessage } from './handle-message.ts';
import type { Sanitize } from './intake.ts';
import type { ChatPlatform } from './platform.ts';
import { sentence } from './reply.ts';
import { tellRestart, tellWaiting, withoutNotice } from './restart.ts';
import { Interrupted, isTakenUpAgain, RunningAnswers } from './running.ts';
import type { ChatServices } from './services.ts';
import type { ChatEvent, DeleteEvent, MessageEvent, PlatformName } from './types.ts';

export interface BotOptions {
  readonly store: ChatStore;
  readonly engine: Engine;
  /** Null while it is being filled. */
  readonly gallery: () => Gallery | null;
  readonly sanitize: Sanitize;
  readonly services?: ChatServices;
  /** `discord:1`, `telegram:2`. */
  readonly operators?: readonly string[];
  /** Answers made at once (8) and waiting beyond (200). */
  readonly maxRunning?: number;
  readonly maxWaiting?: number;
  readonly times?: Partial<BotTimes>;
  readonly log?: Logger;
}

export class ChatBot {
  readonly #desk: Desk & { readonly platforms: Map<PlatformName, ChatPlatform>; readonly deliveries: Map<PlatformName, DeliveryLoop> };
  readonly #gatherer: Gatherer;
  readonly #owner = randomUUID();
  /** What is being worked off, by lane. */
  readonly #works = new Map<string, Promise<void>>();
  readonly #dropped = new Set<string>();
  /** Events whose people know that the process ends. */
  readonly #told = new Set<string>();
  #open = false;
  #openedAt = 0;
  #filling = false;
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: BotOptions) {
    const times = { ...defaultTimes, ...options.times };
    this.#desk = {
      store: options.store,
      directory: new Directory(options.store),
      engine: options.engine,
      get gallery() {
        return options.gallery();
      },
      services: options.services ?? {},
      sanitize: options.sanitize,
      operators: new Set(options.operators ?? []),
      platforms: new Map(),
      deliveries: new Map(),
      admission: new FairQueue({ maxRunning: options.maxRunning ?? 8, maxWaiting: options.maxWaiting ?? 200 }),
      running: new RunningAnswers(),
      times,
      log: (options.log ?? rootLog).child({ room: 'chat' }),
    };
    this.#gatherer = new Gatherer({
      inbox: options.store.inbox,
      quietMs: times.albumQuietMs,
      maxMs: times.albumMaxMs,
      openedAt: () => this.#openedAt,
      closing: this.#desk.running.closing,
    });
  }

  /** Answers that are being made and that wait. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#desk.admission.running, waiting: this.#desk.admission.waiting };
  }

  get store(): ChatStore {
    return this.#desk.store;
  }

  get services(): ChatServices {
    return this.#desk.services;
  }

  get log(): Logger {
    return this.#desk.log;
  }

  /** A place has a new id on its platform: its rows keep what was said there. */
  async movePlace(platform: PlatformName, from: string, to: string): Promise<void> {
    const { conversations } = this.#desk.store;
    const chat = await conversations.ensureChat({ platform, externalId: from, kind: 'group' });
    await conversations.moveChat(chat.id, to);
    this.#desk.directory.moved();
  }

  /** Adds a platform; its answers leave from now on. */
  async connect(platform: ChatPlatform): Promise<void> {
    const { store, times } = this.#desk;
    const delivery = new DeliveryLoop({
      outbox: store.outbox,
      platform,
      bytesOf: (tenants) => bytesFor(this.#desk, tenants),
      owner: this.#owner,
      log: this.#desk.log,
      leaseMs: times.leaseMs,
    });
    this.#desk.platforms.set(platform.name, platform);
    this.#desk.deliveries.set(platform.name, delivery);
    await delivery.start();
    this.#open = true;
    this.#openedAt = Date.now();
    this.#wake();
  }

  /** Stores events; once it resolves the platform may be told that they have arrived. */
  async accept(events: readonly ChatEvent[]): Promise<void> {
    const { store, running } = this.#desk;
    const meant: ChatEvent[] = [];
    for (const event of events) {
      if (!(await this.#isMeant(event))) continue;
      meant.push(event);
    }
    if (meant.length === 0) return;
    const updates = await Promise.all(meant.map((event) => this.#updateOf(event)));
    const outcome = await store.inbox.acceptAll(updates);
    for (const [i, event] of meant.entries()) {
      if (outcome[i] !== 'stored') continue;
      if (this.#gatherer.continues(event)) {
        this.#gatherer.grow(event.place.key, running);
        continue;
      }
      const aside = event.type === 'message' && event.forwarded === true && event.addressed === 'none';
      if (event.type === 'message' && !aside && !this.#dropped.has(event.id)) running.noteArrival(event.place.key, event.id);
      await this.#interrupt(event);
    }
    this.#wake();
  }

  /**
   * Ends: nothing new is worked off, what runs may finish within `drainMs`; the rest is given back to the
   * inbox and its people are told. The platforms must have ended their intake before.
   */
  async stop(drainMs: number = 10_000): Promise<void> {
    this.#open = false;
    if (this.#timer) clearTimeout(this.#timer);
    const deadline = AbortSignal.timeout(drainMs);
    await Promise.race([Promise.allSettled([...this.#works.values()]), ended(deadline)]);
    this.#desk.running.interruptAll();
    const last = AbortSignal.timeout(3_000);
    await Promise.race([Promise.allSettled([...this.#works.values()]), ended(last)]);
    const telling = tellWaiting(this.#desk, this.#told, last).catch((error: unknown) => this.#desk.log.warn({ err: error }, 'people who wait could not be told of the restart'));
    // A change of what is shown already waits for the platform's limits without knowing of the signal.
    await Promise.race([telling, ended(last).then(() => sleep(200))]);
    await Promise.all([...this.#desk.deliveries.values()].map(async (delivery) => {
      await delivery.flush(last);
      await delivery.stop(AbortSignal.timeout(500));
    }));
  }

  /** Talk among others is not kept, unless the chat wants every message answered. */
  async #isMeant(event: ChatEvent): Promise<boolean> {
    if (event.type === 'delete') return this.#concerns(event);
    if (event.type !== 'message' || mayBePart(event)) return true;
    return this.#isAddressed(event);
  }

  async #isAddressed(event: MessageEvent): Promise<boolean> {
    if (event.addressed !== 'none') return true;
    const { settings } = await this.#desk.directory.settings(event.place);
    return settings.answers === 'all';
  }

  /** A deleted message concerns the bot when it is being answered, waits for it, or is remembered. */
  async #concerns(event: DeleteEvent): Promise<boolean> {
    const { running, store } = this.#desk;
    const interrupted = running.interrupt(event.place.key, 'deleted', event.messageId);
    const cancelled = await store.inbox.cancel(event.place.platform, [messageEventId(event.messageId)]);
    if (interrupted || cancelled.length > 0) return interrupted;
    const chat = await this.#desk.directory.chat(event.place);
    return (await store.conversations.turnByMessage(chat.id, event.messageId)) !== null;
  }

  async #updateOf(event: ChatEvent): Promise<IncomingUpdate> {
    const { settings } = await this.#desk.directory.settings(event.place);
    const late = event.type === 'message' && settings.overlap === 'drop' && this.#desk.running.isRunning(event.place.key);
    if (late && !this.#gatherer.continues(event)) this.#dropped.add(event.id);
    return {
      platform: event.place.platform,
      updateId: event.id,
      lane: this.#laneOf(event),
      payload: JSON.parse(JSON.stringify(event)) as JsonValue,
      externalUserId: nativeId(event.author.id),
    };
  }

  /** What need not wait for the answer that is being made has a lane of its own. */
  #laneOf(event: ChatEvent): string {
    const { key } = event.place;
    const aside = `${key}#aside`;
    switch (event.type) {
      case 'message':
        return this.#dropped.has(event.id) ? aside : key;
      case 'command':
        return findCommand(event.command)?.urgent && event.albumId === undefined ? aside : key;
      case 'button':
        return event.action === 'again' ? key : aside;
      case 'reaction':
        return aside;
      case 'edit':
      case 'delete':
        return key;
      default:
        return event satisfies never;
    }
  }

  async #interrupt(event: ChatEvent): Promise<void> {
    const { running } = this.#desk;
    const { key } = event.place;
    if (event.type === 'command' && (event.command === 'stop' || event.command === 'reset')) {
      if (running.interrupt(key, 'stopped')) running.noteStopped(event.id);
    } else if (event.type === 'edit') running.interrupt(key, 'edited', event.message.messageId);
    else if (event.type === 'message' && running.isRunning(key) && (await this.#isAddressed(event))) {
      const { settings } = await this.#desk.directory.settings(event.place);
      if (settings.overlap === 'supersede') running.interrupt(key, 'superseded');
    }
  }

  #wake(): void {
    if (!this.#open) return;
    this.#again = true;
    if (!this.#filling) void this.#fill();
  }

  async #fill(): Promise<void> {
    this.#filling = true;
    const { inbox } = this.#desk.store;
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        for (const platform of this.#desk.platforms.keys()) {
          while (this.#open && this.#works.size < 256) {
            const claim = await inbox.claimNext({ owner: this.#owner, leaseMs: this.#desk.times.leaseMs, platform, except: [...this.#works.keys()] });
            if (!claim) break;
            const work = this.#work(claim).finally(() => {
              this.#works.delete(claim.lane);
              this.#wake();
            });
            this.#works.set(claim.lane, work);
          }
        }
      }
      const wait = await inbox.nextReadyInMs();
      if (wait !== null && this.#open) this.#later(Math.max(wait, 50));
    } catch (error) {
      this.#desk.log.error({ err: error }, 'the inbox could not be read');
      this.#later(1_000);
    } finally {
      this.#filling = false;
      if (this.#again) this.#wake();
    }
  }

  #later(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (!this.#open) return;
    this.#timer = setTimeout(() => this.#wake(), Math.min(ms, 30_000));
    this.#timer.unref();
  }

  async #work(claim: ClaimedUpdate): Promise<void> {
    const { store, log, times, running } = this.#desk;
    const { inbox } = store;
    const head = claim.payload as unknown as ChatEvent;
    const heartbeat = setInterval(() => void inbox.extend(claim, times.leaseMs).catch(() => {}), times.leaseMs / 3);
    let scene: Scene | null = null;
    let joined: readonly string[] = [];
    try {
      const gathered = await this.#gather(claim, head);
      ({ joined } = gathered);
      const { event } = gathered;
      scene = await makeScene(this.#desk, event, claim.attempt);
      let outgoing: readonly OutgoingMessage[] = await this.#handle(scene, event);
      // A platform that shows "thinking" must be given something to show.
      const silent = outgoing.length === 0 && 'via' in event && event.via !== undefined && event.type !== 'button';
      if (silent) outgoing = sendReply(scene, sentence(scene.locale, speak(scene, 'answer.stopped')));
      if (claim.receivedAt < this.#openedAt) outgoing = await withoutNotice(scene, outgoing);
      await inbox.complete(claim, outgoing, joined);
      scene.delivery.wake();
    } catch (error) {
      await this.#failed(claim, scene, joined, error).catch((inner: unknown) => log.error({ err: inner, update: claim.updateId }, 'the inbox could not be written'));
    } finally {
      clearInterval(heartbeat);
      if (isTurn(head) && claim.lane === head.place.key) {
        this.#gatherer.end(head.place.key);
        running.forgetGrowth(head.place.key);
      }
      running.forgetArrival(head.place.key, head.id);
      this.#dropped.delete(head.id);
    }
  }

  /** The event with the others that are one turn with it. */
  async #gather(claim: ClaimedUpdate, head: ChatEvent): Promise<Omit<Gathered, 'event'> & { readonly event: ChatEvent }> {
    if (!isTurn(head) || claim.lane !== head.place.key) return { event: head, joined: [] };
    const gathered = await this.#gatherer.gather(claim, head);
    this.#desk.running.joinArrivals(head.place.key, head.id, gathered.joined);
    return gathered;
  }

  async #handle(scene: Scene, event: ChatEvent): Promise<OutgoingMessage[]> {
    switch (event.type) {
      case 'message':
        if (!(await this.#isAddressed(event))) return [];
        if (this.#dropped.has(event.id)) return this.#tellDropped(scene, event);
        return handleMessage(this.#desk, scene, event);
      case 'edit':
        return handleEdit(this.#desk, scene, event);
      case 'delete':
        return handleDelete(this.#desk, scene, event);
      case 'command':
        return handleCommand(this.#desk, scene, event);
      case 'button':
        return handleButton(this.#desk, scene, event);
      case 'reaction':
        return handleReaction(this.#desk, scene, event);
      default:
        return event satisfies never;
    }
  }

  /** Once for all pictures of an album. */
  #tellDropped(scene: Scene, event: MessageEvent): OutgoingMessage[] {
    const key = event.albumId === undefined ? scene.key : `${scene.place.key}:dropped:${event.albumId}`;
    return sendReply(scene, sentence(scene.locale, speak(scene, 'busy.drop')), { key, replyTo: event.messageId });
  }

  async #failed(claim: ClaimedUpdate, scene: Scene | null, joined: readonly string[], error: unknown): Promise<void> {
    const { store, log } = this.#desk;
    if (error instanceof Interrupted && isTakenUpAgain(error.why)) {
      // Counted when it goes on at once, so that limits count the question only once.
      if (error.why === 'joined') return void (await store.inbox.fail(claim, error.why, { retryInMs: 0 }));
      if (scene) {
        this.#told.add(scene.event.id);
        await tellRestart(this.#desk, scene);
      }
      await store.inbox.release(claim);
      return;
    }
    const code = error instanceof FromageError ? error.code : 'INTERNAL';
    const id = randomUUID().slice(0, 8);
    const facts = { code, errorId: id, update: claim.updateId, attempt: claim.attempt };
    // What has words for the person is told at once; what may pass by itself is tried again first.
    const told = hasWords(error);
    if (told) log.info(facts, 'an event was answered with an excuse');
    else log.error({ err: error, ...facts }, 'an event could not be worked off');
    if (error instanceof FromageError && error.retryable && (!told || code.startsWith('ENGINE_')) && claim.attempt < 4) {
      await store.inbox.fail(claim, code, { retryInMs: 1_000 * 2 ** (claim.attempt - 1), maxAttempts: 5 });
      return;
    }
    if (!scene || !(await store.inbox.complete(claim, apology(scene, error, id), joined))) {
      await store.inbox.fail(claim, code, claim.attempt < 3 ? { retryInMs: 2_000 } : {});
      return;
    }
    scene.delivery.wake();
  }
}

/** The id of the event that a message makes: by it a deleted one is found among those that wait. */
export function messageEventId(messageId: string): string {
  return `message:${messageId}`;
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
