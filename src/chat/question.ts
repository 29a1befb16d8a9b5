// From a question to its answer: pictures taken in, the turn kept, a place at the engine waited for, the
// answer shown while it grows, kept, and handed over as rows for the outbox.
import type { DecodingOptions } from '../engine/types.ts';
import { FromageError } from '../errors.ts';
import { answerPicture, composeAnswer } from './answer.ts';
import type { Answer, Conversation, OutgoingMessage, Turn, TurnPart } from './contracts.ts';
import { bytesFor, type Desk, editRow, removeRow, type Scene, sendReply, sendRow, speak, targetOf } from './desk.ts';
import { nativeId } from './directory.ts';
import { takeIn } from './intake.ts';
import { keepPictures, type OutUnit } from './platform.ts';
import { isEditable, Preview, shows, stableHash, type Standing } from './preview.ts';
import { asksForAnother, buildPrompt } from './prompt.ts';
import { answerReply, replyParts, sentence, turnPartsOf } from './reply.ts';
import { Interrupted, isTakenUpAgain, type RunningAnswer } from './running.ts';
import type { AnswerPart, ComposedAnswer, PictureRef, QuotedMessage } from './types.ts';

/** A question as a message, a command or an edit brings it. */
export interface Question {
  readonly messageId: string | null;
  /** All messages that are this question, when they are several. */
  readonly messageIds?: readonly string[];
  readonly text: string;
  readonly pictures: readonly PictureRef[];
  readonly replyTo?: QuotedMessage;
  readonly forceRet?: boolean;
}

/** How an answer is to be made, beside the chat's settings. */
export interface AnswerWish {
  readonly forceRet?: boolean;
  /** 🔁: not the same words again. */
  readonly fresh?: boolean;
  readonly excludeShown?: boolean;
  /** What stands on the platform in place of the answer, oldest first: an edited question edits it. */
  readonly replace?: readonly Standing[];
  readonly replyTo?: string;
}

/** Takes a question in and answers it. */
export async function handleQuestion(desk: Desk, scene: Scene, question: Question): Promise<OutgoingMessage[]> {
  const running = desk.running.begin(scene.place.key, question.messageId);
  const stopTyping = keepTyping(desk, scene, running.controller.signal);
  const replyTo = question.messageId ?? undefined;
  try {
    const conversation = await desk.store.conversations.current(scene.chat.id);
    const taken = await partsOf(desk, scene, question, running.controller.signal);
    if (taken.parts.length === 0) {
      return sendReply(scene, sentence(scene.locale, taken.note ?? speak(scene, 'help.intro')), { ...(replyTo === undefined ? {} : { replyTo }) });
    }
    const turn = await keepTurn(desk, scene, conversation, question, taken.parts);
    if (running.controller.signal.aborted) throw running.controller.signal.reason;
    if (scene.settings.overlap === 'supersede' && desk.running.isOutdated(scene.place.key, scene.event.id)) return [];
    const note = taken.note === null ? [] : sendReply(scene, sentence(scene.locale, taken.note), { key: `${scene.key}:note` });
    const answer = await answerTurn(desk, scene, conversation, turn, running, {
      excludeShown: asksForAnother(question.text),
      ...(question.forceRet === undefined ? {} : { forceRet: question.forceRet }),
      ...(replyTo === undefined ? {} : { replyTo }),
    });
    return [...note, ...answer];
  } catch (error) {
    if (error instanceof Interrupted && !isTakenUpAgain(error.why)) return [];
    throw error;
  } finally {
    stopTyping();
    desk.running.end(scene.place.key, running);
  }
}

/** The question's turn; one that is taken up again with more parts gets them. */
async function keepTurn(desk: Desk, scene: Scene, conversation: Conversation, question: Question, parts: readonly TurnPart[]): Promise<Turn> {
  const { conversations } = desk.store;
  const messageIds = question.messageIds ?? (question.messageId === null ? [] : [question.messageId]);
  const turn = await conversations.appendTurn(conversation.id, { role: 'user', authorId: scene.user.id, parts, key: scene.key, messageIds });
  if (messageIds.length < 2 || turn.parts.length === parts.length) return turn;
  await conversations.bindMessages(scene.chat.id, turn.id, messageIds);
  return (await conversations.editTurn(turn.id, parts)) ?? turn;
}

/** Pictures first, then words: so the adapters were trained. What was replied to stands before both. */
export async function partsOf(desk: Desk, scene: Scene, question: Question, signal: AbortSignal): Promise<{ parts: TurnPart[]; note: string | null }> {
  const parts: TurnPart[] = [];
  let failed = 0;
  let sentenceFor: string | null = null;
  const add = async (refs: readonly PictureRef[]): Promise<void> => {
    const results = await takeIn(refs, scene.user.id, signal, {
      fetchPicture: (ref, at) => scene.platform.fetchPicture(ref, at),
      sanitize: desk.sanitize,
      files: desk.store.files,
      onError: (error) => desk.log.info({ reason: error instanceof FromageError ? error.code : String((error as Error).name), platform: scene.place.platform }, 'a picture was not taken in'),
    });
    for (const result of results) {
      if (result.ok) parts.push({ type: 'image', hash: result.file.hash });
      else {
        failed++;
        sentenceFor = speak(scene, result.failed);
      }
    }
  };
  if (question.replyTo) {
    const { replyTo } = question;
    const known = replyTo.forwarded ? null : await desk.store.conversations.turnByMessage(scene.chat.id, replyTo.messageId);
    const last = known && (await desk.store.conversations.turns(known.conversationId, 1)).at(-1);
    // What stands right before the question need not be said again.
    if (!known || last?.id !== known.id) {
      if (known) parts.push(...known.parts.filter(({ type }) => type === 'image'));
      else await add(replyTo.pictures);
      if (known) parts.push(...joinWords(known.parts));
      else if (replyTo.text.trim() !== '') parts.push({ type: 'text', text: `${replyTo.text.trim()}\n` });
      // Whose words these are is kept with them: so they can be forgotten, and train nothing without consent.
      const author = known ? known.authorId : await quotedUser(desk, scene, replyTo);
      for (const [i, part] of parts.entries()) {
        const quoted = part.quoted ?? author ?? scene.user.id;
        if (quoted !== scene.user.id) parts[i] = { ...part, quoted };
      }
    }
  }
  await add(question.pictures);
  if (question.text.trim() !== '') parts.push({ type: 'text', text: question.text.trim() });
  const note = failed === 0 ? null : question.pictures.length + (question.replyTo?.pictures.length ?? 0) === 1 ? sentenceFor : speak(scene, 'picture.some', { count: failed });
  return { parts, note };
}

/** The words of a turn as one part for each who wrote some of it, each ending its line. */
function joinWords(parts: readonly TurnPart[]): TurnPart[] {
  const joined: { text: string; quoted?: string }[] = [];
  for (const part of parts) {
    if (part.type !== 'text') continue;
    const last = joined.at(-1);
    if (last && last.quoted === part.quoted) last.text += part.text;
    else joined.push({ text: part.text, ...(part.quoted === undefined ? {} : { quoted: part.quoted }) });
  }
  return joined.filter(({ text }) => text.trim() !== '').map(({ text, ...rest }) => ({ type: 'text', text: `${text.trim()}\n`, ...rest }));
}

/** The person who wrote a quoted message that is not kept as a turn; null for the bot and where the platform does not tell. */
async function quotedUser(desk: Desk, scene: Scene, { own, author }: QuotedMessage): Promise<string | null> {
  if (own || author === undefined) return null;
  return (await desk.store.conversations.ensureUser({ platform: scene.place.platform, externalId: nativeId(author) })).id;
}

/** Answers a stored question. */
export async function answerTurn(desk: Desk, scene: Scene, conversation: Conversation, question: Turn, running: RunningAnswer, wish: AnswerWish): Promise<OutgoingMessage[]> {
  const { signal } = running.controller;
  const preview = new Preview(scene, { replyTo: wish.replyTo, signal, bytesOf: bytesFor(desk, scene.filter.tenants), ...(wish.replace ? { standing: wish.replace } : {}) });
  let leave: (() => void) | null = null;
  try {
    const ticket = desk.admission.enter(scene.place.chat, signal);
    if (!ticket) {
      await desk.store.conversations.removeTurn(question.id);
      return sendReply(scene, sentence(scene.locale, speak(scene, 'busy.full'), { quiet: true }), replyKey(wish));
    }
    leave = await waitForPlace(desk, scene, ticket, preview);
    const composed = await compose(desk, scene, conversation, question, signal, preview, wish);
    return await finish(desk, scene, conversation, question, composed, preview, wish);
  } catch (error) {
    if (!signal.aborted) {
      await preview.settle();
      throw error;
    }
    return await interrupted(scene, preview, signal.reason, wish);
  } finally {
    leave?.();
  }
}

async function waitForPlace(desk: Desk, scene: Scene, ticket: { admitted: Promise<() => void>; position(): number }, preview: Preview): Promise<() => void> {
  const notice = setTimeout(() => {
    const position = ticket.position();
    if (position > 0) void preview.notice(sentence(scene.locale, speak(scene, 'busy.position', { position }))).catch(() => {});
  }, desk.times.busyNoticeMs);
  try {
    return await ticket.admitted;
  } finally {
    clearTimeout(notice);
  }
}

async function compose(desk: Desk, scene: Scene, conversation: Conversation, question: Turn, signal: AbortSignal, preview: Preview, wish: AnswerWish): Promise<ComposedAnswer> {
  const { store, gallery } = desk;
  const { settings, filter } = scene;
  const turns = await store.conversations.turns(conversation.id);
  const upTo = turns.findIndex(({ id }) => id === question.id);
  const prompt = await buildPrompt({
    turns: [...turns.slice(0, Math.max(upTo, 0)), question],
    lastOnly: settings.context === 'last',
    bytesOf: async (part) => (part.pictureId === undefined ? store.files.get(part.hash) : ((await gallery?.bytes(part.pictureId, filter)) ?? null)),
  });
  const temperature = wish.fresh ? Math.max(settings.temperature, 0.8) : settings.temperature;
  const decoding: DecodingOptions = {
    maxNewTokens: settings.maxWords,
    temperature,
    topP: temperature > 0 ? 0.95 : 1,
    repetitionPenalty: 1.2,
    retScaleFactor: settings.eagerness,
    retScaleMode: 'odds',
    ...(wish.forceRet ? { forceRet: true } : {}),
  };
  const exclude = wish.excludeShown ? await store.conversations.shownPictures(conversation.id) : new Set<string>();
  const adapter = await desk.services.adapterFor?.(scene.chat.id);
  const parts: AnswerPart[] = [];
  let complete = 0;
  for await (const event of composeAnswer({
    engine: desk.engine, gallery, filter, exclude,
    maxImgPerRet: settings.pictures,
    request: { prompt, decoding, conversation: conversation.id, seed: stableHash(scene.key), deadlineMs: desk.times.answerMs, signal, ...(adapter === undefined ? {} : { adapter }) },
    onGalleryError: (error) => desk.log.warn({ err: error }, 'the gallery failed; the answer goes on in words'),
  })) {
    if (event.type === 'end') return event.answer;
    if (event.type === 'queued' && event.position > 1) void preview.notice(sentence(scene.locale, speak(scene, 'busy.position', { position: event.position }))).catch(() => {});
    if (event.type === 'text') {
      const last = parts.at(-1);
      if (last?.type === 'text') parts[parts.length - 1] = { type: 'text', text: last.text + event.text };
      else parts.push({ type: 'text', text: event.text });
    } else if (event.type === 'no_picture') parts.push({ type: 'no_picture', ret: event.ret, reason: event.reason });
    else if (event.type === 'pictures') parts.push({ type: 'pictures', ret: event.ret, pictures: event.pictures.map(answerPicture) });
    else continue;
    const shown = replyParts(parts, scene.locale);
    // With pictures what stands before them is complete.
    if (event.type === 'pictures') complete = shown.length;
    preview.grow({ parts: shown, buttons: [], locale: scene.locale, complete: false }, complete);
  }
  throw new FromageError({ code: 'CHAT_NO_END', what: 'the engine ended an answer without saying so', retryable: true });
}

async function finish(desk: Desk, scene: Scene, conversation: Conversation, question: Turn, composed: ComposedAnswer, preview: Preview, wish: AnswerWish): Promise<OutgoingMessage[]> {
  if (composed.reason === 'cancelled') {
    const why = preview.interruption;
    if (why === 'edited' || why === 'deleted' || (why !== null && isTakenUpAgain(why)) || (why === 'superseded' && composed.parts.length === 0)) throw new Interrupted(why);
  }
  const saved = await saveAnswer(desk, scene, conversation, question, composed);
  const units = scene.platform.render(answerReply(composed, saved.id, scene.locale));
  const standing = await preview.settle();
  if (standing.length > 0) await desk.store.conversations.bindMessages(scene.chat.id, saved.turnId, standing.flatMap(({ messageIds }) => messageIds));
  return layOut(scene, units, standing, saved.turnId, wish.replyTo);
}

async function saveAnswer(desk: Desk, scene: Scene, conversation: Conversation, question: Turn, composed: ComposedAnswer): Promise<Answer> {
  const { model } = await desk.engine.info();
  return desk.store.conversations.saveAnswer({
    conversationId: conversation.id,
    questionTurnId: question.id,
    parts: turnPartsOf(composed),
    seed: composed.seed,
    options: { ...composed.decoding, maxImgPerRet: composed.maxImgPerRet, stop: [...(composed.decoding.stop ?? [])] },
    adapter: composed.adapter,
    model,
    retProbability: composed.retProbability,
    endReason: composed.reason,
    usage: { ...composed.usage },
    rets: composed.rets.map(({ embedding, after, probability }) => ({ embedding: Float32Array.from(embedding), after, probability })),
    shown: composed.parts.flatMap((part) => (part.type === 'pictures' ? part.pictures.map(({ id, score }) => ({ pictureId: id, ret: part.ret, score })) : [])),
    key: `${scene.key}:answer`,
  });
}

/** Rows that turn what stands on the platform into the units: kept, edited where the form allows, else removed and sent. */
export function layOut(scene: Scene, units: readonly OutUnit[], standing: readonly Standing[], turnId: string, replyTo: string | undefined): OutgoingMessage[] {
  const rows: OutgoingMessage[] = [];
  const left = [...standing];
  const removed = (): OutgoingMessage[] => left.splice(0).flatMap((one) => one.messageIds.map((id) => removeRow(scene, `${scene.key}:remove${id}`, id)));
  let matching = true;
  for (const [i, unit] of units.entries()) {
    const here = left[0];
    if (matching && here && (shows(here, unit) || isEditable(here, unit))) {
      left.shift();
      if (!shows(here, unit)) rows.push(editRow(scene, `${scene.key}:edit${i}`, here.messageIds[0]!, keepPictures(here.unit, unit), turnId));
      continue;
    }
    // From the first mismatch on everything is sent anew, to keep the order.
    if (matching) rows.push(...removed());
    matching = false;
    rows.push(sendRow(scene, `${scene.key}:${i}`, { ...targetOf(scene, replyTo), first: i === 0 }, unit, turnId));
  }
  return [...rows, ...removed()];
}

/** Nothing was answered: what was shown so far goes, or says why. */
async function interrupted(scene: Scene, preview: Preview, reason: unknown, wish: AnswerWish): Promise<OutgoingMessage[]> {
  const why = reason instanceof Interrupted ? reason.why : 'stopped';
  const standing = await preview.settle();
  if (isTakenUpAgain(why)) throw reason;
  const removed = (from: number): OutgoingMessage[] => standing.slice(from).flatMap((one) => one.messageIds.map((id) => removeRow(scene, `${scene.key}:dropped${id}`, id)));
  if (why !== 'stopped') return removed(0);
  const reply = sentence(scene.locale, speak(scene, 'answer.stopped'));
  const [unit] = scene.platform.render(reply);
  const [first] = standing;
  if (!first || !unit || !isEditable(first, unit)) return [...removed(0), ...sendReply(scene, reply, { key: `${scene.key}:stopped`, ...replyKey(wish) })];
  return [editRow(scene, `${scene.key}:stopped`, first.messageIds[0]!, unit), ...removed(1)];
}

function replyKey(wish: AnswerWish): { replyTo?: string } {
  return wish.replyTo === undefined ? {} : { replyTo: wish.replyTo };
}

/** Shows that the bot works until the returned function is called. */
export function keepTyping(desk: Desk, scene: Scene, signal: AbortSignal): () => void {
  const beat = (): void => void scene.platform.typing(scene.place).catch((error: unknown) => {
    desk.log.debug({ reason: error instanceof Error ? error.name : 'unknown' }, 'typing could not be shown');
  });
  beat();
  const timer = setInterval(beat, scene.platform.typingEveryMs);
  const stop = (): void => clearInterval(timer);
  signal.addEventListener('abort', stop, { once: true });
  return stop;
}
