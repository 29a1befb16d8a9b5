// Answers the questions of the consent gate from the store: who spoke before an answer, who added a
// picture, and whether each of them has an active consent for that place. Remembers for one snapshot.
import type { Consent, ConsentPurpose, Turn } from '../chat/contracts.ts';
import type { Picture } from '../retrieval/types.ts';
import type { ConsentRules } from './consent.ts';
import type { LearningSettings } from './settings.ts';
import type { LearningStores } from './stores.ts';

/** Turns before an answer that are looked at; an answer further back is not used. */
const turnsRead = 200;

export class Permissions implements ConsentRules {
  readonly discord: LearningSettings['discord'];
  readonly #store: LearningStores;
  readonly #turns = new Map<string, Promise<readonly Turn[]>>();
  readonly #consents = new Map<string, Promise<Consent | null>>();
  readonly #histories = new Map<string, Promise<readonly Consent[]>>();
  readonly #private = new Map<string, Promise<boolean>>();

  constructor(store: LearningStores, discord: LearningSettings['discord']) {
    this.#store = store;
    this.discord = discord;
  }

  async allConsent(answerId: string): Promise<boolean> {
    const answer = await this.#store.conversations.answer(answerId);
    const conversation = answer && (await this.#store.conversations.conversation(answer.conversationId));
    if (!answer || !conversation) return false;
    const turns = await remember(this.#turns, conversation.id, () => this.#store.conversations.turns(conversation.id, turnsRead));
    const at = turns.findIndex(({ id }) => id === answer.turnId);
    if (at < 0) return false;
    // The oldest turns read may not be the first ones: what the bot read before them is not known.
    if (turns.length === turnsRead) return false;
    const people = new Set<string | null>();
    for (const turn of turns.slice(0, at)) {
      if (turn.role === 'user') people.add(turn.authorId);
      for (const { quoted } of turn.parts) if (quoted !== undefined) people.add(quoted);
    }
    for (const person of people) if (person === null || (await this.#active(person, 'train-text', conversation.chatId)) === null) return false;
    return true;
  }

  isPrivate(chatId: string): Promise<boolean> {
    return remember(this.#private, chatId, async () => (await this.#store.conversations.chat(chatId))?.kind === 'private');
  }

  /**
   * Whether a gallery picture may be trained on: the operator's own always, a person's by their consent
   * for the chat that the picture was given to.
   */
  async pictureConsent({ addedBy, tenant }: Pick<Picture, 'addedBy' | 'tenant'>): Promise<{ readonly allowed: boolean; readonly consent: Consent | null }> {
    if (addedBy === null) return { allowed: true, consent: null };
    const history = await remember(this.#histories, addedBy, () => this.#store.consents.history(addedBy));
    for (const consent of history) {
      if (consent.purpose !== 'train-pictures' || consent.revokedAt !== null) continue;
      if (consent.platform === 'discord' && !this.discord.captions) continue;
      if (consent.chatId === null || (await this.#isTenant(consent.chatId, tenant))) return { allowed: true, consent };
    }
    return { allowed: false, consent: null };
  }

  /** Pictures are filed under their chat's name on the platform, consents under its row. */
  async #isTenant(chatId: string, tenant: string): Promise<boolean> {
    if (tenant === `chat:${chatId}`) return true;
    const chat = await this.#store.conversations.chat(chatId);
    if (chat === null) return false;
    // Visitors of the page share one gallery; each consents in a conversation of their own.
    if (chat.platform === 'web') return tenant === 'web';
    // A topic's consent (`chat:topic`) counts for what is filed under its chat.
    const place = chat.externalId.split(':')[0] ?? chat.externalId;
    return tenant === `chat:${chat.platform}:${chat.externalId}` || tenant === `chat:${chat.platform}:${place}` || (chat.guildId !== null && tenant === `chat:${chat.guildId.replace(/^guild:/, '')}`);
  }

  #active(userId: string, purpose: ConsentPurpose, chatId: string): Promise<Consent | null> {
    return remember(this.#consents, `${userId} ${purpose} ${chatId}`, () => this.#store.consents.active(userId, purpose, chatId));
  }
}

function remember<T>(known: Map<string, Promise<T>>, key: string, find: () => Promise<T>): Promise<T> {
  const there = known.get(key);
  if (there) return there;
  const found = find();
  known.set(key, found);
  return found;
}
