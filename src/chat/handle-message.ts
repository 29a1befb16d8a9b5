// Messages, their edits and their deletion.
import type { OutgoingMessage, Turn, TurnPart } from './contracts.ts';
import { type Desk, removeRow, type Scene, sendReply } from './desk.ts';
import { correctInWords } from './handle-corrections.ts';
import { refusal } from './gate.ts';
import type { Standing } from './preview.ts';
import { answerTurn, handleQuestion, keepTyping, partsOf } from './question.ts';
import type { OutUnit } from './platform.ts';
import { answerButtons, sentence } from './reply.ts';
import { Interrupted } from './running.ts';
import type { DeleteEvent, EditEvent, MessageEvent, ReplyPart } from './types.ts';

export async function handleMessage(desk: Desk, scene: Scene, event: MessageEvent): Promise<OutgoingMessage[]> {
  const refused = await refusal(desk, scene, { count: true });
  if (refused !== null) return sendReply(scene, sentence(scene.locale, refused, { quiet: true }), { replyTo: event.messageId });
  return (await correctInWords(desk, scene, event)) ?? handleQuestion(desk, scene, event);
}

/** An edited question edits the answer; one that was never answered is answered now. */
export async function handleEdit(desk: Desk, scene: Scene, event: EditEvent): Promise<OutgoingMessage[]> {
  const { conversations } = desk.store;
  const { message } = event;
  const question = await conversations.turnByMessage(scene.chat.id, message.messageId);
  if (!question || question.role !== 'user') {
    return message.addressed === 'none' ? [] : handleMessage(desk, scene, message);
  }
  const running = desk.running.begin(scene.place.key, message.messageId);
  const stopTyping = keepTyping(desk, scene, running.controller.signal);
  try {
    const several = (await conversations.messageIds(question.id)).length > 1;
    const parts = several ? withWords(question.parts, message.text) : (await partsOf(desk, scene, message, running.controller.signal)).parts;
    const conversation = await conversations.conversation(question.conversationId);
    const answers = await conversations.answersTo(question.id);
    if (!conversation || parts.length === 0) return [];
    // Platforms report edits for their own reasons too, e.g. when a link gets its preview.
    if (answers.length > 0 && JSON.stringify(parts) === JSON.stringify(question.parts)) return [];
    const refused = await refusal(desk, scene, { count: true });
    if (refused !== null) return sendReply(scene, sentence(scene.locale, refused, { quiet: true }), { replyTo: message.messageId });
    const newest = answers[0];
    const replace = newest ? await standingOf(desk, scene, newest.turnId) : [];
    const rows = await answerTurn(desk, scene, conversation, { ...question, parts }, running, { replace, replyTo: message.messageId });
    // Only now: a process that ends before finds the edit as new, and what stands there to be replaced.
    await conversations.editTurn(question.id, parts);
    const late = newest ? await lateMessages(desk, newest.turnId, replace) : [];
    for (const answer of answers) await conversations.removeTurn(answer.turnId);
    return [...late.map((id) => removeRow(scene, `${scene.key}:late${id}`, id)), ...rows];
  } catch (error) {
    if (error instanceof Interrupted && error.why !== 'shutdown') return [];
    throw error;
  } finally {
    stopTyping();
    desk.running.end(scene.place.key, running);
  }
}

/** A question of several messages, one of which was edited: the others keep what they brought. */
function withWords(parts: readonly TurnPart[], text: string): readonly TurnPart[] {
  const words = text.trim();
  const own = parts.findLastIndex((part) => part.type === 'text' && part.quoted === undefined);
  if (words === '') return parts;
  return own < 0 ? [...parts, { type: 'text', text: words }] : parts.with(own, { type: 'text', text: words });
}

/** What an earlier answer looks like on the platform: it is rendered again to learn the forms of its messages. */
export async function standingOf(desk: Desk, scene: Scene, turnId: string): Promise<readonly Standing[]> {
  const [turn, ids] = await Promise.all([desk.store.conversations.turn(turnId), desk.store.conversations.messageIds(turnId)]);
  if (!turn) return [];
  const units = standingUnits(scene, turn);
  let at = 0;
  const standing = units.map(({ form, count }) => ({ messageIds: ids.slice(at, (at += count)), form, unit: null }));
  return at === ids.length ? standing : ids.map((messageId) => ({ messageIds: [messageId], form: '', unit: null }));
}

/** Messages of the old answer that were still on their way when the question was edited: nothing took their place. */
async function lateMessages(desk: Desk, turnId: string, replaced: readonly Standing[]): Promise<readonly string[]> {
  const known = new Set(replaced.flatMap(({ messageIds }) => messageIds));
  return (await desk.store.conversations.messageIds(turnId)).filter((id) => !known.has(id));
}

/** The messages of an answer as they were laid out when it was finished. */
export function standingUnits(scene: Scene, turn: Turn): readonly OutUnit[] {
  return scene.platform.render({ parts: rememberedParts(turn), buttons: answerButtons(turn.id, true, scene.locale), locale: scene.locale, complete: true });
}

function rememberedParts(turn: Turn): ReplyPart[] {
  const parts: ReplyPart[] = [];
  for (const part of turn.parts) {
    if (part.type === 'text') {
      parts.push({ type: 'text', text: part.text });
      continue;
    }
    const { hash, alt = '', pictureId: id = '' } = part;
    const picture = { id, hash, alt, caption: null, source: null, licence: null, mimeType: 'image/png', width: 1, height: 1, score: 0 };
    const last = parts.at(-1);
    if (last?.type === 'pictures') parts[parts.length - 1] = { type: 'pictures', pictures: [...last.pictures, picture] };
    else parts.push({ type: 'pictures', pictures: [picture] });
  }
  return parts;
}

/** The work was stopped when the deletion arrived; here the question leaves the memory. */
export async function handleDelete(desk: Desk, scene: Scene, event: DeleteEvent): Promise<OutgoingMessage[]> {
  const { conversations } = desk.store;
  const turn = await conversations.turnByMessage(scene.chat.id, event.messageId);
  if (!turn) return [];
  if (turn.role === 'assistant') return [];
  await conversations.removeTurn(turn.id);
  return [];
}

