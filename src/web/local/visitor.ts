// Whose request it is: the page names itself by a random id that its browser keeps.
import type { FastifyRequest } from 'fastify';
import type { Chat, Conversation, User } from '../../chat/contracts.ts';
import { badRequest } from '../openai/chat-request.ts';
import type { WebOptions } from '../options.ts';

const visitorPattern = /^[0-9a-f-]{36}$/;

export interface Visitor {
  readonly user: User;
  readonly chat: Chat;
  readonly conversation: Conversation;
}

export async function visitorOf(request: FastifyRequest, { store: { conversations } }: Pick<WebOptions, 'store'>): Promise<Visitor> {
  const id = request.headers['x-fromage-visitor'];
  if (typeof id !== 'string' || !visitorPattern.test(id)) throw badRequest('the header x-fromage-visitor must hold a UUID');
  const user = await conversations.ensureUser({ platform: 'web', externalId: id });
  const chat = await conversations.ensureChat({ platform: 'web', externalId: id, kind: 'private' });
  return { user, chat, conversation: await conversations.current(chat.id) };
}
