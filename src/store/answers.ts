// Answers: the assistant's turn with how it came about and what was shown.
import { randomUUID } from 'node:crypto';
import type { Answer, ConversationStore } from '../chat/contracts.ts';
import type { Client, Database, Transaction } from './database.ts';
import { fromBytes, fromJsonObject, fromTime, toBytes, toJson, toTime } from './rows.ts';
import { insertTurn, partOf, withParts } from './turns.ts';

type AnswerMethods = Pick<ConversationStore, 'saveAnswer' | 'answer' | 'answerByTurn' | 'answersTo' | 'addShown' | 'shownPictures' | 'answerByMessage'>;

const whole = { turn: { include: withParts }, rets: { orderBy: { position: 'asc' } }, shown: { orderBy: { position: 'asc' } } } as const;

type AnswerRow = NonNullable<Awaited<ReturnType<typeof find>>>;

const find = (client: Client | Transaction, id: string) => client.answer.findUnique({ where: { id }, include: whole });

function answerOf(row: AnswerRow): Answer {
  return {
    id: row.id,
    turnId: row.turnId,
    conversationId: row.conversationId,
    questionTurnId: row.questionTurnId,
    parts: row.turn.parts.map(partOf),
    seed: Number(row.seed),
    options: fromJsonObject(row.options),
    adapter: row.adapter,
    model: row.model,
    retProbability: row.retProbability,
    endReason: row.endReason,
    ...(row.usage === null ? {} : { usage: fromJsonObject(row.usage) }),
    rets: row.rets.map((ret) => ({ embedding: fromBytes(ret.embedding), after: ret.after, probability: ret.probability })),
    shown: row.shown.map(({ pictureId, ret, score }) => ({ pictureId, ret, score })),
    createdAt: fromTime(row.createdAt),
  };
}

export function answerMethods(database: Database): AnswerMethods {
  return {
    saveAnswer: (answer) =>
      database.write(async (t) => {
        const { turn, isNew } = await insertTurn(t, answer.conversationId, { role: 'assistant', parts: answer.parts, ...(answer.key === undefined ? {} : { key: answer.key }) });
        if (!isNew) {
          const there = await t.answer.findUnique({ where: { turnId: turn.id }, include: whole });
          if (there) return answerOf(there);
        }
        const id = randomUUID();
        // The question may have been deleted while it was being answered.
        const question = answer.questionTurnId === null ? null : await t.turn.findUnique({ where: { id: answer.questionTurnId }, select: { id: true } });
        await t.answer.create({
          data: {
            id,
            turnId: turn.id,
            conversationId: answer.conversationId,
            questionTurnId: question?.id ?? null,
            seed: BigInt(answer.seed),
            options: toJson(answer.options),
            adapter: answer.adapter,
            model: answer.model,
            retProbability: answer.retProbability,
            endReason: answer.endReason,
            usage: answer.usage === undefined ? null : toJson(answer.usage),
            createdAt: toTime(Date.now()),
          },
        });
        await t.answerRet.createMany({ data: answer.rets.map((ret, position) => ({ answerId: id, position, embedding: toBytes(ret.embedding), after: ret.after, probability: ret.probability })) });
        await t.answerPicture.createMany({ data: answer.shown.map((shown, position) => ({ answerId: id, position, ret: shown.ret, pictureId: shown.pictureId, score: shown.score })) });
        const row = await find(t, id);
        return answerOf(row as AnswerRow);
      }),

    answer: (id) => database.read(async (client) => {
      const row = await find(client, id);
      return row && answerOf(row);
    }),

    answerByTurn: (turnId) => database.read(async (client) => {
      const row = await client.answer.findUnique({ where: { turnId }, include: whole });
      return row && answerOf(row);
    }),

    answersTo: (questionTurnId) =>
      database.read(async (client) => (await client.answer.findMany({ where: { questionTurnId }, orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], include: whole })).map(answerOf)),

    async addShown(answerId, shown) {
      await database.write(async (t) => {
        // A write first: it holds the answer's row while the next position is looked up.
        await t.answer.update({ where: { id: answerId }, data: { retProbability: { increment: 0 } } });
        const last = await t.answerPicture.findFirst({ where: { answerId }, orderBy: { position: 'desc' } });
        const from = (last?.position ?? -1) + 1;
        await t.answerPicture.createMany({ data: shown.map((one, i) => ({ answerId, position: from + i, ret: one.ret, pictureId: one.pictureId, score: one.score })) });
      });
    },

    shownPictures: (conversationId) =>
      database.read(async (client) => new Set((await client.answerPicture.findMany({ where: { answer: { conversationId } }, select: { pictureId: true } })).map((row) => row.pictureId))),

    answerByMessage: (chatId, messageId) => database.read(async (client) => {
      const link = await client.messageLink.findUnique({ where: { chatId_messageId: { chatId, messageId } }, include: { turn: { include: { answer: { include: whole } } } } });
      return link?.turn.answer ? answerOf(link.turn.answer) : null;
    }),
  };
}
