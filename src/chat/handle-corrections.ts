// What an answer should have been: "not this picture", "the right one is this", "it shows …". As a button,
// as a command (on Telegram in reply to the answer), and in plain words in reply to it.
import type { Answer, Correction, OutgoingMessage, Turn } from './contracts.ts';
import { correctionInWords } from './corrections-in-words.ts';
import { chatTenant, type Desk, type Scene, sendReply, speak } from './desk.ts';
import { standingUnits } from './handle-message.ts';
import { takeIn } from './intake.ts';
import { readPictureSubject, sentence } from './reply.ts';
import type { ButtonEvent, CommandEvent, MessageEvent, PictureRef } from './types.ts';

const never = new AbortController().signal;
const mostCaption = 500;
const pictureIds = /[0-9a-f]{8}-[0-9a-f-]{27}/i;

/** The answer that is meant, with what it shows, in order, and the question's own pictures. */
interface Corrected {
  readonly answer: Answer;
  readonly turn: Turn | null;
  readonly shown: readonly string[];
  readonly aboutPicture: boolean;
}

export async function wrongCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const corrected = await correctedBy(desk, scene, event);
  if (!corrected) return answer(scene, event, speak(scene, 'correct.which'));
  return wrong(desk, scene, event, corrected, event.options.which);
}

export async function rightCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const corrected = await correctedBy(desk, scene, event);
  if (!corrected) return answer(scene, event, speak(scene, 'correct.which'));
  return right(desk, scene, event, corrected, event.options.which);
}

export async function showsCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const corrected = await correctedBy(desk, scene, event);
  if (!corrected) return answer(scene, event, speak(scene, 'correct.which'));
  return shows(desk, scene, event, corrected, event.options.caption ?? '');
}

/** Null when the words are no correction of the answer that they reply to: then they are talk. */
export async function correctInWords(desk: Desk, scene: Scene, event: MessageEvent): Promise<OutgoingMessage[] | null> {
  const said = event.replyTo?.own ? correctionInWords(event.text) : null;
  const corrected = said && (await correctedBy(desk, scene, event));
  if (!said || !corrected) return null;
  const number = 'number' in said && said.number !== null ? String(said.number) : undefined;
  if (said.kind === 'shows') return corrected.aboutPicture ? shows(desk, scene, event, corrected, said.caption) : null;
  if (said.kind === 'wrong') return corrected.shown.length > 0 ? wrong(desk, scene, event, corrected, number) : null;
  return event.pictures.length > 0 || (number !== undefined && corrected.shown.length > 0) ? right(desk, scene, event, corrected, number) : null;
}

/** 🚫 under a picture. It was acknowledged at once. */
export async function wrongButton(desk: Desk, scene: Scene, event: ButtonEvent): Promise<OutgoingMessage[]> {
  const subject = readPictureSubject(event.subject);
  const found = subject && (await desk.store.conversations.answer(subject.answerId));
  const corrected = found && (await detailsOf(desk, scene, found));
  const pictureId = corrected?.shown[subject?.place ?? -1];
  if (!corrected || pictureId === undefined) return sendReply(scene, sentence(scene.locale, speak(scene, 'vote.gone'), { quiet: true }));
  await note(desk, scene, corrected.answer, { kind: 'not-this', pictureId });
  return [];
}

type Said = CommandEvent | MessageEvent;

async function wrong(desk: Desk, scene: Scene, event: Said, corrected: Corrected, which: string | undefined): Promise<OutgoingMessage[]> {
  if (corrected.shown.length === 0) return answer(scene, event, speak(scene, 'correct.noPicture'));
  const pictureId = shownPicture(corrected, which) ?? (which === undefined ? await pictureRepliedTo(desk, scene, event, corrected) : null);
  if (pictureId === null) return answer(scene, event, speak(scene, 'correct.number', { count: corrected.shown.length, command: 'wrong' }));
  return noted(desk, scene, event, corrected.answer, { kind: 'not-this', pictureId }, speak(scene, 'correct.wrong'));
}

async function right(desk: Desk, scene: Scene, event: Said, corrected: Corrected, which: string | undefined): Promise<OutgoingMessage[]> {
  const [ref] = event.pictures;
  if (ref) return rightPicture(desk, scene, event, corrected.answer, ref);
  const typed = which === undefined ? null : (pictureIds.exec(which)?.[0] ?? null);
  const visible = typed === null ? null : ((await desk.gallery?.get(typed, scene.filter))?.id ?? null);
  const pictureId = visible ?? shownPicture(corrected, which) ?? (which === undefined ? await pictureRepliedTo(desk, scene, event, corrected) : null);
  if (pictureId === null) return answer(scene, event, speak(scene, 'correct.right'));
  return noted(desk, scene, event, corrected.answer, { kind: 'right-picture', pictureId }, speak(scene, 'correct.noted'));
}

/** A picture that was sent becomes one of this chat's gallery: only such can be shown, and learned from. */
async function rightPicture(desk: Desk, scene: Scene, event: Said, corrected: Answer, ref: PictureRef): Promise<OutgoingMessage[]> {
  const { galleryAdmin } = desk.services;
  if (!galleryAdmin) return answer(scene, event, speak(scene, 'refuse.notThere', { command: 'right' }));
  const [taken] = await takeIn([ref], scene.user.id, never, { fetchPicture: (picture, signal) => scene.platform.fetchPicture(picture, signal), sanitize: desk.sanitize, files: desk.store.files });
  const file = taken?.ok ? taken.file : null;
  const bytes = file && (await desk.store.files.get(file.hash));
  if (!file || !bytes) return answer(scene, event, speak(scene, taken && !taken.ok ? taken.failed : 'picture.gone'));
  const learned = await galleryAdmin.learn({ bytes, mimeType: file.mimeType, width: file.width, height: file.height, caption: '', place: scene.place, author: scene.author, userId: scene.user.id, tenant: chatTenant(scene.place) });
  if (learned.outcome === 'denied') return answer(scene, event, speak(scene, 'learn.denied'));
  const words = learned.outcome === 'added' ? speak(scene, 'correct.kept', { id: learned.id }) : speak(scene, 'correct.noted');
  // Words of the question are not learned there, so that only a caption says what the picture is the right one for.
  const nameless = scene.place.platform === 'discord' && !(await desk.gallery?.get(learned.id, scene.filter))?.caption;
  return noted(desk, scene, event, corrected, { kind: 'right-picture', pictureId: learned.id }, nameless ? `${words} ${speak(scene, 'correct.nameless', { id: learned.id })}` : words);
}

async function shows(desk: Desk, scene: Scene, event: Said, corrected: Corrected, caption: string): Promise<OutgoingMessage[]> {
  // Discord's developer policy, rule 21: what is written in messages trains nothing, so it is not kept either.
  if (scene.place.platform === 'discord') return answer(scene, event, speak(scene, 'correct.discordText'));
  if (!corrected.aboutPicture) return answer(scene, event, speak(scene, 'correct.notAsked'));
  return noted(desk, scene, event, corrected.answer, { kind: 'it-shows', text: caption.trim().slice(0, mostCaption) }, speak(scene, 'correct.noted'));
}

async function noted(desk: Desk, scene: Scene, event: Said, { id }: Answer, correction: Correction, words: string): Promise<OutgoingMessage[]> {
  if (!(await note(desk, scene, { id }, correction))) return answer(scene, event, speak(scene, 'vote.gone'));
  const consent = await desk.store.consents.active(scene.user.id, 'train-votes', scene.chat.id);
  return answer(scene, event, consent ? words : `${words} ${speak(scene, 'correct.consent')}`);
}

function note(desk: Desk, scene: Scene, { id }: Pick<Answer, 'id'>, correction: Correction): Promise<boolean> {
  return desk.store.votes.correct(id, scene.user.id, correction);
}

/** The answer that was replied to; without a reply the last one of this conversation. */
async function correctedBy(desk: Desk, scene: Scene, event: Said): Promise<Corrected | null> {
  const { conversations } = desk.store;
  if (event.replyTo) {
    const found = await conversations.answerByMessage(scene.chat.id, event.replyTo.messageId);
    return found && detailsOf(desk, scene, found);
  }
  const { id } = await conversations.current(scene.chat.id);
  const last = (await conversations.turns(id, 20)).findLast(({ role }) => role === 'assistant');
  const found = last ? await conversations.answerByTurn(last.id) : null;
  return found && detailsOf(desk, scene, found);
}

/** Null for an answer of another chat: as good as gone. */
async function detailsOf(desk: Desk, scene: Scene, found: Answer): Promise<Corrected | null> {
  const { conversations } = desk.store;
  const conversation = await conversations.conversation(found.conversationId);
  if (conversation?.chatId !== scene.chat.id) return null;
  const question = found.questionTurnId === null ? null : await conversations.turn(found.questionTurnId);
  return { answer: found, turn: await conversations.turn(found.turnId), shown: found.shown.map(({ pictureId }) => pictureId), aboutPicture: question?.parts.some(({ type }) => type === 'image') ?? false };
}

/** By its number, or because there is only one. */
function shownPicture({ shown }: Corrected, which: string | undefined): string | null {
  const [digits] = which?.match(/^\s*#?(\d{1,3})\s*$/)?.slice(1) ?? [];
  if (digits !== undefined) return shown[Number(digits) - 1] ?? null;
  return which === undefined && shown.length === 1 ? shown[0]! : null;
}

/** Where each picture of an answer is a message of its own, the one that was replied to. */
async function pictureRepliedTo(desk: Desk, scene: Scene, event: Said, { turn }: Corrected): Promise<string | null> {
  const { replyTo } = event;
  if (!turn || !replyTo) return null;
  const ids = await desk.store.conversations.messageIds(turn.id);
  const pictures = turn.parts.flatMap((part) => (part.type === 'image' ? [part.pictureId ?? null] : []));
  const messages = standingUnits(scene, turn).flatMap(({ count, pictures: within = 0 }) => {
    const own = pictures.splice(0, within);
    return Array.from({ length: count }, (_, i) => (within === count ? (own[i] ?? null) : null));
  });
  return messages.length === ids.length ? (messages[ids.indexOf(replyTo.messageId)] ?? null) : null;
}

function answer(scene: Scene, event: Said, text: string): OutgoingMessage[] {
  return sendReply(scene, sentence(scene.locale, text, { quiet: true }), event.messageId === undefined ? {} : { replyTo: event.messageId });
}
