// Commands about pictures: find similar ones, teach one, take one back.
import type { ScoredPicture } from '../retrieval/types.ts';
import { answerPicture } from './answer.ts';
import type { Conversation, OutgoingMessage, TurnPart } from './contracts.ts';
import { chatTenant, type Desk, type Scene, sendReply, speak } from './desk.ts';
import { takeIn } from './intake.ts';
import { answerButtons, sentence } from './reply.ts';
import type { GalleryAdmin } from './services.ts';
import type { CommandEvent, Reply } from './types.ts';

const never = new AbortController().signal;
/** Asked with a picture, likeness is relative: the best ones are shown whatever their score. */
export const similarThreshold = -1;

/** A picture that a command is about; the id if it is one of the gallery. */
interface Subject {
  readonly bytes: Uint8Array;
  readonly hash: string;
  readonly pictureId?: string;
  readonly alt?: string;
}

type Taken = Subject | { readonly failed: string };

/** The pictures a command is about: its own (an album has several), else those of the message replied to. Of each that failed the sentence that says why. */
async function picturesOf(desk: Desk, scene: Scene, event: CommandEvent): Promise<Taken[]> {
  const refs = event.pictures.length > 0 ? event.pictures : (event.replyTo?.pictures ?? []);
  if (refs.length === 0) {
    const shown = await shownPicture(desk, scene, event);
    return shown ? [shown] : [];
  }
  const results = await takeIn(refs, scene.user.id, never, {
    fetchPicture: (picture, signal) => scene.platform.fetchPicture(picture, signal),
    sanitize: desk.sanitize,
    files: desk.store.files,
  });
  return Promise.all(results.map(async (result): Promise<Taken> => {
    if (!result.ok) return { failed: speak(scene, result.failed) };
    const bytes = await desk.store.files.get(result.file.hash);
    return bytes ? { bytes, hash: result.file.hash } : { failed: speak(scene, 'picture.gone') };
  }));
}

/** The picture of the message replied to, where the conversation knows it. */
async function shownPicture(desk: Desk, scene: Scene, event: CommandEvent): Promise<Subject | null> {
  if (!event.replyTo) return null;
  const turn = await desk.store.conversations.turnByMessage(scene.chat.id, event.replyTo.messageId);
  return turn ? firstPicture(desk, scene, turn.parts) : null;
}

/** The first of these parts that is a picture whose bytes can be had. */
async function firstPicture(desk: Desk, scene: Scene, parts: readonly TurnPart[]): Promise<Subject | null> {
  for (const part of parts) {
    if (part.type !== 'image') continue;
    const { hash, pictureId, alt } = part;
    const bytes = pictureId === undefined ? await desk.store.files.get(hash) : ((await desk.gallery?.bytes(pictureId, scene.filter)) ?? null);
    if (bytes) return { bytes, hash, ...(pictureId === undefined ? {} : { pictureId }), ...(alt === undefined ? {} : { alt }) };
  }
  return null;
}

/** The newest picture of the conversation, for `/similar` without one; what `/similar` itself showed does not count. */
async function lastPicture(desk: Desk, scene: Scene): Promise<Subject | null> {
  const { conversations } = desk.store;
  const conversation = await conversations.current(scene.chat.id);
  for (const turn of (await conversations.turns(conversation.id, 30)).toReversed()) {
    const found = await firstPicture(desk, scene, turn.parts.toReversed());
    if (found && !(turn.role === 'assistant' && (await conversations.answerByTurn(turn.id))?.options.similar)) return found;
  }
  return null;
}

export async function similarCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const [given] = await picturesOf(desk, scene, event);
  if (given && 'failed' in given) return answer(scene, event, given.failed);
  const picture = given ?? (await lastPicture(desk, scene));
  if (!picture) return answer(scene, event, speak(scene, 'picture.needed'));
  if (!desk.gallery) return answer(scene, event, speak(scene, 'answer.galleryDown'));
  const [pooled] = await desk.engine.encodeImages([picture.bytes]);
  if (!(pooled instanceof Float32Array)) return answer(scene, event, speak(scene, 'picture.unreadable'));
  const adapter = (await desk.services.adapterFor?.(scene.chat.id)) ?? (await desk.engine.info()).servingAdapter;
  const [vector] = await desk.engine.projectImages([pooled], adapter);
  if (!vector) return answer(scene, event, speak(scene, 'similar.none'));
  const conversation = await desk.store.conversations.current(scene.chat.id);
  const exclude = await desk.store.conversations.shownPictures(conversation.id);
  const limit = Math.max(3, scene.settings.pictures);
  const found = await desk.gallery.find({ vector, filter: scene.filter, exclude, limit, scoreThreshold: similarThreshold, adapter });
  if (found.length === 0) return answer(scene, event, speak(scene, 'similar.none'));
  return showSimilar(desk, scene, event, { conversation, picture, vector, adapter, found });
}

/** Kept like any answer, the picture's place in the gallery's space as its one [RET]: so ➕ goes on from there, and nothing is shown twice. */
async function showSimilar(desk: Desk, scene: Scene, event: CommandEvent, { conversation, picture, vector, adapter, found }: Similar): Promise<OutgoingMessage[]> {
  const { conversations } = desk.store;
  const { bytes: _bytes, ...subject } = picture;
  const messageIds = event.messageId === undefined ? [] : [event.messageId];
  const question = await conversations.appendTurn(conversation.id, { role: 'user', authorId: scene.user.id, parts: [{ type: 'image', ...subject }], key: scene.key, messageIds });
  const saved = await conversations.saveAnswer({
    conversationId: conversation.id,
    questionTurnId: question.id,
    parts: found.map(({ id, hash, alt }) => ({ type: 'image', hash, pictureId: id, alt })),
    seed: 0,
    options: { similar: true },
    adapter,
    model: (await desk.engine.info()).model,
    retProbability: 0,
    endReason: 'similar',
    rets: [{ embedding: vector, after: 0, probability: 1 }],
    shown: found.map(({ id, score }) => ({ pictureId: id, ret: 0, score })),
    key: `${scene.key}:answer`,
  });
  const pictures = found.map(answerPicture);
  // The same question has the same answer here: no 🔁.
  const buttons = answerButtons(saved.id, true, scene.locale, { from: 0, count: pictures.length }).filter(({ action }) => action !== 'again');
  const reply: Reply = { parts: [{ type: 'pictures', pictures }], buttons, locale: scene.locale, complete: true };
  return sendReply(scene, reply, { turnId: saved.turnId, ...(event.messageId === undefined ? {} : { replyTo: event.messageId }) });
}

interface Similar {
  readonly conversation: Conversation;
  readonly picture: Subject;
  readonly vector: Float32Array;
  readonly adapter: string;
  readonly found: readonly ScoredPicture[];
}

export async function learnCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  return teach(desk, scene, event, event.options.caption?.trim() ?? '');
}

/** Puts a picture, or each of an album, with its caption into this chat's gallery; `/gallery add` is the same. */
export async function teach(desk: Desk, scene: Scene, event: CommandEvent, caption: string): Promise<OutgoingMessage[]> {
  const { galleryAdmin } = desk.services;
  if (!galleryAdmin) return answer(scene, event, speak(scene, 'refuse.notThere', { command: event.command }));
  if (caption === '') return answer(scene, event, speak(scene, 'learn.caption'));
  const pictures = await picturesOf(desk, scene, event);
  if (pictures.length === 0) return answer(scene, event, speak(scene, 'picture.needed'));
  const lines: string[] = [];
  for (const picture of pictures) lines.push('failed' in picture ? picture.failed : await teachOne(desk, scene, galleryAdmin, picture, caption));
  return answer(scene, event, lines.join('\n'));
}

/** @returns the sentence that says what became of it */
async function teachOne(desk: Desk, scene: Scene, galleryAdmin: GalleryAdmin, picture: { bytes: Uint8Array; hash: string }, caption: string): Promise<string> {
  const stat = await desk.store.files.stat(picture.hash);
  const learned = await galleryAdmin.learn({
    bytes: picture.bytes,
    mimeType: stat?.mimeType ?? 'image/jpeg',
    width: stat?.width ?? 0,
    height: stat?.height ?? 0,
    caption: caption.slice(0, 500),
    place: scene.place,
    author: scene.author,
    userId: scene.user.id,
    tenant: chatTenant(scene.place),
  });
  if (learned.outcome === 'denied') return speak(scene, 'learn.denied');
  return speak(scene, learned.outcome === 'known' ? 'learn.known' : 'learn.added', { id: learned.id, caption: caption.slice(0, 100) });
}

export async function unlearnCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { galleryAdmin } = desk.services;
  if (!galleryAdmin) return answer(scene, event, speak(scene, 'refuse.notThere', { command: event.command }));
  const ids = await namedPictures(desk, scene, event, event.options.id);
  if (ids.length === 0) return answer(scene, event, speak(scene, 'unlearn.which'));
  const removed = await galleryAdmin.remove({ ids, tenants: [chatTenant(scene.place)], addedBy: scene.user.id, deny: false });
  return answer(scene, event, removed.length > 0 ? speak(scene, 'unlearn.done', { count: removed.length }) : speak(scene, 'unlearn.nothing'));
}

/** Gallery ids: typed, or shown in the message that was replied to. */
export async function namedPictures(desk: Desk, scene: Scene, event: CommandEvent, typed: string | undefined): Promise<string[]> {
  const written = typed?.match(/[0-9a-f]{8}-[0-9a-f-]{27}/gi) ?? [];
  if (written.length > 0 || !event.replyTo) return written;
  const turn = await desk.store.conversations.turnByMessage(scene.chat.id, event.replyTo.messageId);
  return (turn?.parts ?? []).flatMap((part) => (part.type === 'image' && part.pictureId !== undefined ? [part.pictureId] : []));
}

function answer(scene: Scene, event: CommandEvent, text: string): OutgoingMessage[] {
  return sendReply(scene, sentence(scene.locale, text), event.messageId === undefined ? {} : { replyTo: event.messageId });
}
