// Buttons and reactions: votes, another answer, more pictures, and the answer to "shall I really?".
import type { OutgoingMessage, VoteValue } from './contracts.ts';
import { type Desk, editRow, type Scene, sendReply, speak } from './desk.ts';
import { wrongButton } from './handle-corrections.ts';
import { forgetUser, forgetSubject } from './handle-privacy.ts';
import { refusal } from './gate.ts';
import { say } from './i18n/index.ts';
import { answerPicture } from './answer.ts';
import { similarThreshold } from './picture-commands.ts';
import { answerTurn, keepTyping } from './question.ts';
import { answerButtons, sentence } from './reply.ts';
import { Interrupted } from './running.ts';
import type { ButtonEvent, Locale, ReactionEvent, ReplyPart } from './types.ts';

/**
 * What a click is acknowledged with at once, before anything is looked up; null for no words.
 */
export function clickAcknowledgement(action: ButtonEvent['action'], locale: Locale): string | null {
  if (action === 'up') return say(locale, 'vote.up');
  if (action === 'wrong') return say(locale, 'correct.wrong');
  return action === 'down' ? say(locale, 'vote.down') : null;
}

export async function handleButton(desk: Desk, scene: Scene, event: ButtonEvent): Promise<OutgoingMessage[]> {
  if (event.action === 'confirm' || event.action === 'cancel') return confirmed(desk, scene, event);
  if (event.action === 'wrong') return wrongButton(desk, scene, event);
  const answer = await desk.store.conversations.answer(event.subject);
  const turn = answer && (await desk.store.conversations.turn(answer.turnId));
  const conversation = answer && (await desk.store.conversations.conversation(answer.conversationId));
  // An id that somebody made up, or of another chat, is as good as gone.
  if (!answer || !turn || !conversation || conversation.chatId !== scene.chat.id) return quiet(scene, speak(scene, 'vote.gone'));
  if (event.action === 'up' || event.action === 'down') {
    await vote(desk, scene, answer.id, event.action);
    return [];
  }
  const question = answer.questionTurnId === null ? null : await desk.store.conversations.turn(answer.questionTurnId);
  const asker = question?.authorId ?? null;
  const { standing } = scene;
  if (asker !== null && asker !== scene.user.id && !standing.operator && !scene.author.chatAdmin) return quiet(scene, speak(scene, 'refuse.notYours'));
  const refused = await refusal(desk, scene, { count: true });
  if (refused !== null) return quiet(scene, refused);
  if (event.action === 'more') return morePictures(desk, scene, event);
  if (!question) return quiet(scene, speak(scene, 'vote.gone'));

  const running = desk.running.begin(scene.place.key, event.messageId);
  const stopTyping = keepTyping(desk, scene, running.controller.signal);
  try {
    const [messageId] = await desk.store.conversations.messageIds(question.id);
    return await answerTurn(desk, scene, conversation, question, running, {
      fresh: true,
      excludeShown: true,
      forceRet: answer.options.forceRet === true,
      ...(messageId === undefined ? {} : { replyTo: messageId }),
    });
  } catch (error) {
    if (error instanceof Interrupted && error.why !== 'shutdown') return [];
    throw error;
  } finally {
    stopTyping();
    desk.running.end(scene.place.key, running);
  }
}

/** ➕: the next best pictures for each [RET] of the answer, none that this conversation has seen. */
async function morePictures(desk: Desk, scene: Scene, event: ButtonEvent): Promise<OutgoingMessage[]> {
  const { conversations } = desk.store;
  const answer = await conversations.answer(event.subject);
  if (!answer || !desk.gallery || answer.rets.length === 0) return quiet(scene, speak(scene, 'answer.noMore'));
  const exclude = new Set(await conversations.shownPictures(answer.conversationId));
  const parts: ReplyPart[] = [];
  let count = 0;
  const limit = Math.max(answer.options.similar ? 3 : 1, scene.settings.pictures);
  for (const [ret, { embedding }] of answer.rets.entries()) {
    const found = await desk.gallery.find({ vector: embedding, filter: scene.filter, exclude, limit, adapter: answer.adapter, ...(answer.options.similar ? { scoreThreshold: similarThreshold } : {}) });
    if (found.length === 0) continue;
    for (const { id } of found) exclude.add(id);
    await conversations.addShown(answer.id, found.map(({ id, score }) => ({ pictureId: id, ret, score })));
    parts.push({ type: 'pictures', pictures: found.map(answerPicture) });
    count += found.length;
  }
  if (parts.length === 0) return quiet(scene, speak(scene, 'answer.noMore'));
  const reply = { parts, buttons: answerButtons(answer.id, true, scene.locale, { from: answer.shown.length, count }), locale: scene.locale, complete: true };
  return sendReply(scene, reply, { replyTo: event.messageId, turnId: answer.turnId });
}

async function confirmed(desk: Desk, scene: Scene, event: ButtonEvent): Promise<OutgoingMessage[]> {
  if (event.subject !== forgetSubject(scene.user)) return quiet(scene, speak(scene, 'refuse.notYours'));
  const done = event.action === 'confirm' ? await forgetUser(desk, scene) : speak(scene, 'confirm.kept');
  const unit = scene.platform.render(sentence(scene.locale, done, { quiet: true }))[0];
  return unit ? [editRow(scene, `${scene.key}:confirmed`, event.messageId, unit)] : [];
}

/** The last word wins: with 👍, and when the vote is taken back, earlier corrections go; 👎 goes well with them. */
async function vote(desk: Desk, scene: Scene, answerId: string, value: VoteValue | null): Promise<void> {
  if (value !== 'down') await desk.store.votes.retract(answerId, scene.user.id);
  if (await desk.store.votes.set(answerId, scene.user.id, value)) desk.services.feedback?.voted(answerId, scene.user.id, value);
}

/** 👍 and 👎 as reactions count like the buttons; those on other messages are none of ours. */
export async function handleReaction(desk: Desk, scene: Scene, event: ReactionEvent): Promise<OutgoingMessage[]> {
  const answer = await desk.store.conversations.answerByMessage(scene.chat.id, event.messageId);
  if (answer) await vote(desk, scene, answer.id, event.vote);
  return [];
}

function quiet(scene: Scene, text: string): OutgoingMessage[] {
  return sendReply(scene, sentence(scene.locale, text, { quiet: true }));
}

