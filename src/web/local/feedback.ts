// What a visitor of the page says of an answer, and what of it may be learned from: votes, "not this
// picture", and consent, with the same meaning as in a chat.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Answer, ConsentPurpose } from '../../chat/contracts.ts';
import { FromageError } from '../../errors.ts';
import type { WebMetrics } from '../metrics.ts';
import { parseBody } from '../openai/chat-request.ts';
import type { WebOptions } from '../options.ts';
import { type Visitor, visitorOf } from './visitor.ts';

const answerId = z.string().max(100);
const voteSchema = z.object({ answerId, value: z.enum(['up', 'down']).nullable() });
const wrongSchema = z.object({ answerId, pictureId: z.string().max(100) });
const purposes = { votes: 'train-votes', text: 'train-text', pictures: 'train-pictures' } as const satisfies Record<string, ConsentPurpose>;
const consentSchema = z.object({ purpose: z.enum(['votes', 'text', 'pictures']), given: z.boolean() });

export function registerFeedback(app: FastifyInstance, options: WebOptions, metrics: WebMetrics): void {
  const { votes, consents, conversations } = options.store;

  /** An answer to this visitor; that of another is as good as none. */
  async function answered(request: FastifyRequest, id: string): Promise<Visitor & { readonly answer: Answer }> {
    const visitor = await visitorOf(request, options);
    const answer = await conversations.answer(id);
    const conversation = answer && (await conversations.conversation(answer.conversationId));
    if (!answer || conversation?.chatId !== visitor.chat.id) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'there is no such answer' });
    return { ...visitor, answer };
  }

  app.post('/api/votes', async (request) => {
    const { answerId: id, value } = parseBody(voteSchema, request.body);
    const { user, answer } = await answered(request, id);
    // The last word wins: with 👍, and when the vote is taken back, earlier corrections go.
    if (value !== 'down') await votes.retract(answer.id, user.id);
    await votes.set(answer.id, user.id, value);
    metrics.vote(value ?? 'none');
    return { answerId: id, value };
  });

  app.post('/api/wrong', async (request) => {
    const { answerId: id, pictureId } = parseBody(wrongSchema, request.body);
    const { user, answer } = await answered(request, id);
    if (!answer.shown.some((shown) => shown.pictureId === pictureId)) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'that answer showed no such picture' });
    await votes.correct(answer.id, user.id, { kind: 'not-this', pictureId });
    return { answerId: id, pictureId };
  });

  app.get('/api/consent', async (request) => consentOf(await visitorOf(request, options)));

  app.post('/api/consent', async (request) => {
    const { purpose, given } = parseBody(consentSchema, request.body);
    const visitor = await visitorOf(request, options);
    if (given) await consents.grant(visitor.user.id, purposes[purpose], visitor.chat.id);
    else await consents.revoke(visitor.user.id, purposes[purpose], visitor.chat.id);
    return consentOf(visitor);
  });

  async function consentOf({ user, chat }: Visitor): Promise<Record<string, boolean>> {
    const state: Record<string, boolean> = {};
    for (const [name, purpose] of Object.entries(purposes)) state[name] = (await consents.active(user.id, purpose, chat.id)) !== null;
    return state;
  }
}
