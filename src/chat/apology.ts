// What a person is told when something failed: by the error's code, in the person's language. The texts of
// errors themselves are English and for operators.
import { FromageError } from '../errors.ts';
import type { OutgoingMessage } from './contracts.ts';
import { type Scene, sendReply, speak } from './desk.ts';
import type { MessageKey } from './i18n/index.ts';
import { sentence } from './reply.ts';

export const errorWords: Readonly<Record<string, MessageKey>> = {
  ENGINE_BUSY: 'busy.full',
  ENGINE_CLOSED: 'busy.restarting',
  ENGINE_CRASHED: 'error.engine',
  ENGINE_START: 'error.engineDown',
  MODEL_CONTEXT_FULL: 'error.tooLong',
  MODEL_PROMPT_TOO_LONG: 'error.tooLong',
  APP_GALLERY_STARTING: 'error.galleryStarting',
  RETRIEVAL_NOT_READY: 'error.galleryStarting',
  RETRIEVAL_QDRANT_DOWN: 'answer.galleryDown',
  RETRIEVAL_QDRANT_OLD: 'answer.galleryDown',
  RETRIEVAL_QDRANT_KEY: 'answer.galleryDown',
  RETRIEVAL_QDRANT_LOST: 'answer.galleryDown',
  RETRIEVAL_DENIED: 'learn.denied',
  LEARNING_ADAPTER: 'adapter.none',
  LEARNING_REFUSED: 'adapter.refused',
  LEARNING_DAMAGED: 'adapter.damaged',
};

/** True when there are words of its own for an error: it is told at once instead of being tried again. */
export function hasWords(error: unknown): error is FromageError {
  return error instanceof FromageError && Object.hasOwn(errorWords, error.code);
}

/** @param id under which the log has the error */
export function apology(scene: Scene, error: unknown, id: string): OutgoingMessage[] {
  const { event, standing, place } = scene;
  if (event.type === 'reaction' || event.type === 'delete') return [];
  const code = error instanceof FromageError ? error.code : 'INTERNAL';
  const key = errorWords[code];
  const lines = [key ? speak(scene, key) : speak(scene, 'error.general', { code, id })];
  // An operator is told the rest where nobody else reads it.
  if (standing.operator && place.isPrivate && error instanceof FromageError) lines.push(error.message);
  const replyTo = 'messageId' in event ? event.messageId : undefined;
  return sendReply(scene, sentence(scene.locale, lines.join('\n'), { quiet: true }), { key: `${scene.key}:sorry`, ...(replyTo === undefined ? {} : { replyTo }) });
}
