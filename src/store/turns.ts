// Turns as rows: parts in their order, the place in the conversation, the messages on the platform.
import { randomUUID } from 'node:crypto';
import type { NewTurn, Turn, TurnPart } from '../chat/contracts.ts';
import type { Transaction } from './database.ts';
import { chunks, fromTime, fromTimeOrNull, toText, toTextOrNull, toTime } from './rows.ts';

interface PartRow {
  readonly type: string;
  readonly text: string | null;
  readonly imageHash: string | null;
  readonly pictureId: string | null;
  readonly alt: string | null;
  readonly quotedId: string | null;
}

export interface TurnRow {
  readonly id: string;
  readonly conversationId: string;
  readonly seq: number;
  readonly role: string;
  readonly authorId: string | null;
  readonly createdAt: bigint;
  readonly editedAt: bigint | null;
  readonly parts: readonly PartRow[];
}

export const withParts = { parts: { orderBy: { position: 'asc' } } } as const;

export function partOf(row: PartRow): TurnPart {
  const quoted = row.quotedId === null ? {} : { quoted: row.quotedId };
  if (row.type === 'text') return { type: 'text', text: row.text ?? '', ...quoted };
  return { type: 'image', hash: row.imageHash ?? '', ...quoted, ...(row.pictureId === null ? {} : { pictureId: row.pictureId }), ...(row.alt === null ? {} : { alt: row.alt }) };
}

export function turnOf(row: TurnRow): Turn {
  return {
    id: row.id,
    conversationId: row.conversationId,
    seq: row.seq,
    role: row.role as Turn['role'],
    authorId: row.authorId,
    parts: row.parts.map(partOf),
    createdAt: fromTime(row.createdAt),
    editedAt: fromTimeOrNull(row.editedAt),
  };
}

/** Rows of a turn's parts. */
export function partRows(turnId: string, parts: readonly TurnPart[]) {
  return parts.map((part, position) =>
    part.type === 'text'
      ? { turnId, position, type: 'text', text: toText(part.text), quotedId: part.quoted ?? null }
      : { turnId, position, type: 'image', imageHash: part.hash === '' ? null : part.hash, pictureId: part.pictureId ?? null, alt: toTextOrNull(part.alt), quotedId: part.quoted ?? null },
  );
}

/** The next place in a conversation. It is a write, and the row stays locked until the transaction ends. */
async function nextSeq(transaction: Transaction, conversationId: string): Promise<{ seq: number; chatId: string }> {
  const row = await transaction.conversation.update({ where: { id: conversationId }, data: { nextSeq: { increment: 1 }, updatedAt: toTime(Date.now()) } });
  return { seq: row.nextSeq - 1, chatId: row.chatId };
}

export async function linkMessages(transaction: Transaction, chatId: string, turnId: string, messageIds: readonly string[]): Promise<void> {
  for (const messageId of new Set(messageIds)) {
    await transaction.messageLink.upsert({ where: { chatId_messageId: { chatId, messageId } }, create: { chatId, messageId, turnId }, update: { turnId } });
  }
}

/** Appends inside a transaction; a key that is there already gives its turn. */
export async function insertTurn(transaction: Transaction, conversationId: string, turn: NewTurn): Promise<{ turn: Turn; isNew: boolean }> {
  const { seq, chatId } = await nextSeq(transaction, conversationId);
  if (turn.key !== undefined) {
    const there = await transaction.turn.findUnique({ where: { conversationId_key: { conversationId, key: turn.key } }, include: withParts });
    if (there) return { turn: turnOf(there), isNew: false };
  }
  const id = randomUUID();
  const row = await transaction.turn.create({ data: { id, conversationId, seq, role: turn.role, authorId: turn.authorId ?? null, key: turn.key ?? null, createdAt: toTime(Date.now()) } });
  await transaction.turnPart.createMany({ data: partRows(id, turn.parts) });
  await linkMessages(transaction, chatId, id, turn.messageIds ?? []);
  const parts = await transaction.turnPart.findMany({ where: { turnId: id }, orderBy: { position: 'asc' } });
  return { turn: turnOf({ ...row, parts }), isNew: true };
}

/** Deletes turns with the answers to them (and those answers' own turns). */
export async function deleteTurns(transaction: Transaction, ids: readonly string[]): Promise<void> {
  for (const some of chunks(ids)) {
    await transaction.turn.deleteMany({ where: { answer: { questionTurnId: { in: [...some] } } } });
    await transaction.turn.deleteMany({ where: { id: { in: [...some] } } });
  }
}
