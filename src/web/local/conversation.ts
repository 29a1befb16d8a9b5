// The local page's conversation: a platform like the others. A question is stored before it is answered,
// the answer with everything needed to repeat it, and a vote with the answer it is about.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Conversation, Turn, TurnPart, User } from '../../chat/contracts.ts';
import { type AnswerEvent, buildPrompt, composeAnswer, type PictureBytes } from '../../chat/index.ts';
import type { DecodingOptions } from '../../engine/types.ts';
import type { ScoredPicture } from '../../retrieval/types.ts';
import { signPath } from '../guard.ts';
import type { WebMetrics } from '../metrics.ts';
import { badRequest, bytesOfDataUrl, parseBody } from '../openai/chat-request.ts';
import { describeError } from '../openai/errors.ts';
import { webTenants, type WebOptions } from '../options.ts';
import { openEventStream } from '../sse.ts';
import { registerFeedback } from './feedback.ts';
import { visitorOf } from './visitor.ts';

const maxPictures = 8;

const settingsSchema = z.object({
  temperature: z.number().min(0).max(2).default(0),
  retScaleFactor: z.number().min(0).max(20).default(1),
  picturesPerAnswer: z.number().int().min(0).max(6).default(1),
  maxNewTokens: z.number().int().min(8).max(512).default(96),
});

const questionSchema = z.object({
  text: z.string().max(20_000).default(''),
  images: z.array(z.string()).max(maxPictures, `at most ${maxPictures} pictures in one message`).default([]),
  showMe: z.boolean().default(false),
  settings: settingsSchema.prefault({}),
});

/** What the page is told of one turn when it is opened again. */
interface PageTurn {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly parts: readonly PagePart[];
  readonly answerId: string | null;
  readonly vote: 'up' | 'down' | null;
}

type PagePart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image'; readonly id?: string; readonly url: string; readonly alt: string; readonly credit: string; readonly wrong?: boolean };

export function registerConversation(app: FastifyInstance, options: WebOptions, metrics: WebMetrics): void {
  const { store, engine } = options;
  registerFeedback(app, options, metrics);

  const visitor = (request: FastifyRequest) => visitorOf(request, options);

  app.get('/api/conversation', async (request) => {
    const { user, conversation } = await visitor(request);
    const turns = await store.conversations.turns(conversation.id);
    return { conversationId: conversation.id, turns: await Promise.all(turns.map((turn) => pageTurn(turn, user))) };
  });

  app.delete('/api/conversation', async (request) => {
    const { chat, conversation } = await visitor(request);
    await store.conversations.removeConversation(conversation.id);
    return { conversationId: (await store.conversations.current(chat.id)).id };
  });

  app.get('/api/mydata', async (request, reply) => {
    const { user } = await visitor(request);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await store.userData.mydata(user.id)) chunks.push(chunk);
    return reply.header('content-type', 'application/zip').header('content-disposition', 'attachment; filename="my-fromage-data.zip"').send(Buffer.concat(chunks));
  });

  app.post('/api/forget', async (request) => {
    const { user } = await visitor(request);
    const report = await store.userData.forget(user.id);
    for (const id of report.pictureIds) await options.pictures?.removePicture(id);
    return report;
  });

  app.post('/api/messages', { bodyLimit: 64 * 2 ** 20 }, async (request, reply) => {
    const question = parseBody(questionSchema, request.body);
    const { user, conversation } = await visitor(request);
    const parts: TurnPart[] = [];
    for (const url of question.images) {
      const { bytes, mimeType, width, height } = await options.sanitize(bytesOfDataUrl(url));
      const file = await store.files.put(bytes, { mimeType, width, height, addedBy: user.id });
      parts.push({ type: 'image', hash: file.hash });
    }
    if (question.text.trim() !== '') parts.push({ type: 'text', text: question.text.trim() });
    if (parts.length === 0) throw badRequest('the message is empty');
    const asked = await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts });
    const prompt = await buildPrompt({ turns: await store.conversations.turns(conversation.id), bytesOf: pictureBytes });
    const decoding = decodingOf(question);
    const stream = openEventStream(reply);
    await stream.send({ type: 'question', turnId: asked.id });
    const said = new AnswerParts();
    try {
      const adapter = await options.adapterFor?.();
      const events = composeAnswer({
        engine,
        gallery: options.gallery(),
        filter: { tenants: webTenants },
        maxImgPerRet: question.settings.picturesPerAnswer,
        exclude: await store.conversations.shownPictures(conversation.id),
        onGalleryError: (error) => options.log.warn({ code: describeError(error).error.code }, 'the gallery could not be searched'),
        request: { prompt, decoding, conversation: `web:${conversation.id}`, signal: stream.signal, ...(adapter === undefined ? {} : { adapter }) },
      });
      for await (const event of metrics.watch(events)) {
        said.take(event);
        if (event.type === 'pictures') await stream.send({ ...event, pictures: event.pictures.map(pagePicture) });
        else if (event.type !== 'end') await stream.send(event);
        else await stream.send({ type: 'end', answerId: await save(event.answer, said, asked, conversation, decoding), reason: event.answer.reason, usage: event.answer.usage, retProbability: event.answer.retProbability });
      }
    } catch (thrown) {
      const { error, body } = describeError(thrown);
      options.log.warn({ code: error.code }, 'an answer failed');
      await stream.send({ type: 'error', message: error.userMessage ?? body.error.message, code: error.code });
    } finally {
      stream.end();
    }
    return reply;
  });

  const pictureBytes: PictureBytes = async (part) => (part.pictureId === undefined ? await store.files.get(part.hash) : ((await options.gallery()?.bytes(part.pictureId, { tenants: webTenants })) ?? null));

  async function save(answer: Extract<AnswerEvent, { type: 'end' }>['answer'], said: AnswerParts, asked: Turn, conversation: Conversation, decoding: DecodingOptions): Promise<string> {
    const saved = await store.conversations.saveAnswer({
      conversationId: conversation.id,
      questionTurnId: asked.id,
      parts: said.parts,
      seed: answer.seed,
      options: { ...decoding },
      adapter: answer.adapter,
      model: (await engine.info()).model,
      retProbability: answer.retProbability,
      endReason: answer.reason,
      usage: { ...answer.usage },
      rets: answer.rets.map((ret) => ({ ...ret, embedding: Float32Array.from(ret.embedding) })),
      shown: said.shown,
    });
    return saved.id;
  }

  function pagePicture(picture: ScoredPicture) {
    return { id: picture.id, url: signPath(`/v1/pictures/${picture.id}`, options.apiKey), alt: picture.alt, score: picture.score, credit: credit(picture.source, picture.licence) };
  }

  async function pageTurn(turn: Turn, user: User): Promise<PageTurn> {
    const answers = turn.role === 'assistant' ? await store.conversations.answerByTurn(turn.id) : null;
    const corrections = answers ? await store.votes.corrections(answers.id) : [];
    const wrong = new Set(corrections.flatMap((one) => (one.kind === 'not-this' && one.userId === user.id ? [one.pictureId] : [])));
    const parts: PagePart[] = [];
    for (const part of turn.parts) {
      if (part.type === 'text') parts.push(part);
      else if (part.pictureId !== undefined) {
        const picture = await options.gallery()?.get(part.pictureId, { tenants: webTenants });
        if (picture) parts.push({ type: 'image', id: picture.id, wrong: wrong.has(picture.id), url: signPath(`/v1/pictures/${picture.id}`, options.apiKey), alt: picture.alt, credit: credit(picture.source, picture.licence) });
      } else parts.push({ type: 'image', url: signPath(`/api/files/${part.hash}`, options.apiKey), alt: part.alt ?? 'a picture you sent', credit: '' });
    }
    return { id: turn.id, role: turn.role, parts, answerId: answers?.id ?? null, vote: answers ? await store.votes.of(answers.id, user.id) : null };
  }
}

/** Collects what an answer has shown, in the store's own form. */
class AnswerParts {
  readonly parts: TurnPart[] = [];
  readonly shown: { pictureId: string; ret: number; score: number }[] = [];

  take(event: AnswerEvent): void {
    if (event.type === 'text') {
      const last = this.parts.at(-1);
      if (last?.type === 'text') this.parts[this.parts.length - 1] = { type: 'text', text: last.text + event.text };
      else this.parts.push({ type: 'text', text: event.text });
    } else if (event.type === 'pictures') {
      for (const picture of event.pictures) {
        this.parts.push({ type: 'image', hash: picture.hash, pictureId: picture.id, alt: picture.alt });
        this.shown.push({ pictureId: picture.id, ret: event.ret, score: picture.score });
      }
    }
  }
}

function decodingOf({ settings, showMe }: z.output<typeof questionSchema>): DecodingOptions {
  return {
    maxNewTokens: settings.maxNewTokens,
    temperature: settings.temperature,
    ...(settings.temperature > 0 ? { topP: 0.95 } : {}),
    repetitionPenalty: 1.2,
    retScaleFactor: settings.retScaleFactor,
    retScaleMode: 'odds',
    maxNumRets: settings.picturesPerAnswer === 0 ? 0 : 1,
    ...(showMe ? { forceRet: true } : {}),
  };
}

function credit(source: string | null, licence: string | null): string {
  return [source, licence].filter((part): part is string => part !== null).join(' · ');
}
