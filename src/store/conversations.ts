// People, places and the turns of conversations.
import { randomUUID } from 'node:crypto';
import type { Chat, Conversation, ConversationStore, User } from '../chat/contracts.ts';
import { FromageError } from '../errors.ts';
import type { Database, Transaction } from './database.ts';
import { answerMethods } from './answers.ts';
import { fromTime, fromTimeOrNull, inPages, toText, toTextOrNull, toTime } from './rows.ts';
import { type TurnRow, deleteTurns, insertTurn, linkMessages, partRows, turnOf, withParts } from './turns.ts';

interface ConversationRow {
  readonly id: string;
  readonly chatId: string;
  readonly title: string | null;
  readonly createdAt: bigint;
  readonly updatedAt: bigint;
  readonly closedAt: bigint | null;
}

function conversationOf(row: ConversationRow): Conversation {
  return { id: row.id, chatId: row.chatId, title: row.title, createdAt: fromTime(row.createdAt), updatedAt: fromTime(row.updatedAt), closedAt: fromTimeOrNull(row.closedAt) };
}

const userOf = ({ id, platform, externalId, name, locale }: User): User => ({ id, platform, externalId, name, locale });
const chatOf = (row: { id: string; platform: string; externalId: string; kind: string; guildId: string | null; title: string | null }): Chat => ({
  id: row.id,
  platform: row.platform,
  externalId: row.externalId,
  kind: row.kind as Chat['kind'],
  guildId: row.guildId,
  title: row.title,
});

export function createConversations(database: Database): ConversationStore {
  /** Somebody else made the same row between our look and our write: look again. */
  const orExisting = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof FromageError && error.code === 'STORE_CONFLICT') return work();
      throw error;
    }
  };

  const open = (transaction: Transaction, chatId: string, title: string | null) => {
    const now = toTime(Date.now());
    return transaction.conversation.create({ data: { id: randomUUID(), chatId, title, createdAt: now, updatedAt: now, openKey: chatId } });
  };

  return {
    ...answerMethods(database),

    ensureUser: ({ platform, externalId, name, locale }) =>
      orExisting(async () => {
        const where = { platform_externalId: { platform, externalId } };
        const change = { ...(name === undefined ? {} : { name: toText(name) }), ...(locale === undefined ? {} : { locale }) };
        const there = await database.read((client) => client.user.findUnique({ where }));
        if (there && (change.name ?? there.name) === there.name && (change.locale ?? there.locale) === there.locale) return userOf(there);
        return userOf(await database.write((t) => t.user.upsert({ where, create: { id: randomUUID(), platform, externalId, createdAt: toTime(Date.now()), ...change }, update: change })));
      }),

    user: (id) => database.read(async (client) => {
      const row = await client.user.findUnique({ where: { id } });
      return row && userOf(row);
    }),

    ensureChat: ({ platform, externalId, kind, guildId, title }) =>
      orExisting(async () => {
        const where = { platform_externalId: { platform, externalId } };
        const change = { ...(guildId === undefined ? {} : { guildId }), ...(title === undefined ? {} : { title: toText(title) }) };
        const there = await database.read((client) => client.chat.findUnique({ where }));
        if (there && there.kind === kind && (change.guildId ?? there.guildId) === there.guildId && (change.title ?? there.title) === there.title) return chatOf(there);
        return chatOf(await database.write((t) => t.chat.upsert({ where, create: { id: randomUUID(), platform, externalId, kind, createdAt: toTime(Date.now()), ...change }, update: { kind, ...change } })));
      }),

    chat: (id) => database.read(async (client) => {
      const row = await client.chat.findUnique({ where: { id } });
      return row && chatOf(row);
    }),

    findChat: (platform, externalId) => database.read(async (client) => {
      const row = await client.chat.findUnique({ where: { platform_externalId: { platform, externalId } } });
      return row && chatOf(row);
    }),

    async moveChat(chatId, externalId) {
      await database.write((t) => t.chat.update({ where: { id: chatId }, data: { externalId } }));
    },

    current: (chatId) =>
      orExisting(async () => {
        const there = await database.read((client) => client.conversation.findUnique({ where: { openKey: chatId } }));
        return conversationOf(there ?? (await database.write((t) => open(t, chatId, null))));
      }),

    reset: (chatId, title) =>
      orExisting(() =>
        database.write(async (t) => {
          await t.conversation.updateMany({ where: { openKey: chatId }, data: { openKey: null, closedAt: toTime(Date.now()) } });
          return conversationOf(await open(t, chatId, toTextOrNull(title)));
        }),
      ),

    conversation: (id) => database.read(async (client) => {
      const row = await client.conversation.findUnique({ where: { id } });
      return row && conversationOf(row);
    }),

    conversations: (chatId, limit = 50) =>
      database.read(async (client) => (await client.conversation.findMany({ where: { chatId }, orderBy: [{ updatedAt: 'desc' }, { id: 'asc' }], take: limit })).map(conversationOf)),

    removeConversation: (id) => database.write(async (t) => (await t.conversation.deleteMany({ where: { id } })).count > 0),

    appendTurn: (conversationId, turn) => database.write(async (t) => (await insertTurn(t, conversationId, turn)).turn),

    editTurn: (turnId, parts) =>
      database.write(async (t) => {
        const { count } = await t.turn.updateMany({ where: { id: turnId }, data: { editedAt: toTime(Date.now()) } });
        if (count === 0) return null;
        await t.turnPart.deleteMany({ where: { turnId } });
        await t.turnPart.createMany({ data: partRows(turnId, parts) });
        const row = await t.turn.findUnique({ where: { id: turnId }, include: withParts });
        return row && turnOf(row);
      }),

    removeTurn: (turnId) =>
      database.write(async (t) => {
        const { count } = await t.turn.updateMany({ where: { id: turnId }, data: { editedAt: toTime(Date.now()) } });
        if (count > 0) await deleteTurns(t, [turnId]);
        return count > 0;
      }),

    undo: (conversationId) =>
      database.write(async (t) => {
        await t.conversation.updateMany({ where: { id: conversationId }, data: { updatedAt: toTime(Date.now()) } });
        const question = await t.turn.findFirst({ where: { conversationId, role: 'user' }, orderBy: { seq: 'desc' } });
        if (!question) return [];
        const rows = await inPages<TurnRow>(Infinity, (take, last) => t.turn.findMany({ where: { conversationId, seq: last ? { gt: last.seq } : { gte: question.seq } }, orderBy: { seq: 'asc' }, take, include: withParts }));
        await deleteTurns(t, rows.map((row) => row.id));
        return rows.map(turnOf);
      }),

    turns: (conversationId, limit = 200) =>
      database.read(async (client) => {
        const rows = await inPages<TurnRow>(limit, (take, last) =>
          client.turn.findMany({ where: { conversationId, ...(last ? { seq: { lt: last.seq } } : {}) }, orderBy: { seq: 'desc' }, take, include: withParts }),
        );
        return rows.map(turnOf).reverse();
      }),

    turn: (id) => database.read(async (client) => {
      const row = await client.turn.findUnique({ where: { id }, include: withParts });
      return row && turnOf(row);
    }),

    async bindMessages(chatId, turnId, messageIds) {
      await database.write((t) => linkMessages(t, chatId, turnId, messageIds));
    },

    turnByMessage: (chatId, messageId) => database.read(async (client) => {
      const row = await client.messageLink.findUnique({ where: { chatId_messageId: { chatId, messageId } }, include: { turn: { include: withParts } } });
      return row && turnOf(row.turn);
    }),

    messageIds: (turnId) => database.read(async (client) => (await client.messageLink.findMany({ where: { turnId } })).map((row) => row.messageId).sort(byNumber)),
  };
}

/** The platforms number messages as they come: whole numbers, as text. */
function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
