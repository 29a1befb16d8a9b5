// Removes a person: rows, what rows of others say of them, train sets, pictures, and in the end the bytes
// that a database leaves behind in its files.
import { rm } from 'node:fs/promises';
import { FromageError } from '../errors.ts';
import type { ForgetReport } from '../chat/contracts.ts';
import type { Database, Transaction } from './database.ts';
import type { Files } from './files.ts';
import { placesOf } from './places.ts';
import { chunks, inPages, toTime } from './rows.ts';
import { dropTrainRows } from './train-rows.ts';

interface Removed extends Omit<ForgetReport, 'files'> {
  /** Bytes that may have lost their last reference. */
  readonly hashes: readonly string[];
}

const blank = { payload: null, externalUserId: null } as const;

/** Updates and messages of the queues. */
async function clearQueues(t: Transaction, user: { id: string; platform: string; externalId: string }, chatIds: readonly string[], lanes: readonly string[], turnIds: readonly string[]): Promise<void> {
  const mine = { OR: [{ platform: user.platform, externalUserId: user.externalId }, { lane: { in: [...lanes] } }] };
  // What is being worked on now (often the wish to be forgotten) ends as it would, without its content.
  await t.inboxUpdate.updateMany({ where: { ...mine, state: 'running' }, data: blank });
  await t.inboxUpdate.updateMany({ where: { ...mine, state: { in: ['waiting', 'dead'] } }, data: { ...blank, state: 'done', error: null, finishedAt: toTime(Date.now()) } });
  await t.inboxUpdate.deleteMany({ where: { lane: { in: [...lanes] }, state: 'done' } });
  await t.outboxMessage.deleteMany({ where: { OR: [{ userId: user.id }, { chatId: { in: [...chatIds] } }] } });
  for (const some of chunks(turnIds)) await t.outboxMessage.deleteMany({ where: { turnId: { in: [...some] } } });
  const busy = await t.inboxUpdate.findMany({ where: { lane: { in: [...lanes] } }, select: { lane: true } });
  const keep = new Set(busy.map((row) => row.lane));
  await t.lane.deleteMany({ where: { key: { in: lanes.filter((lane) => !keep.has(lane)) } } });
}

/** Gallery pictures that the person added or that belong to a private chat, and traces of them elsewhere. */
async function clearPictures(t: Transaction, userId: string, tenants: readonly string[]): Promise<{ ids: string[]; hashes: string[] }> {
  const rows = await t.picture.findMany({ where: { OR: [{ addedById: userId }, { tenant: { in: [...tenants] } }] }, select: { id: true, imageHash: true } });
  const ids = rows.map((row) => row.id);
  // Others were shown them: their conversations keep that something was shown, not what.
  for (const some of chunks(ids)) {
    await t.turnPart.updateMany({ where: { pictureId: { in: [...some] } }, data: { imageHash: null, alt: null } });
    await t.picture.deleteMany({ where: { id: { in: [...some] } } });
  }
  const images = await t.image.findMany({ where: { addedById: userId }, select: { hash: true } });
  // Bytes that others refer to as well stay, without what this person said of them.
  await t.image.updateMany({ where: { addedById: userId }, data: { addedById: null, alt: null, caption: null, source: null, licence: null } });
  return { ids, hashes: [...rows.flatMap((row) => row.imageHash ?? []), ...images.map((image) => image.hash)] };
}

/** Where the person acted as an admin. */
async function clearDeeds(t: Transaction, userId: string): Promise<void> {
  await t.ban.updateMany({ where: { byId: userId }, data: { byId: null, reason: null } });
  await t.deniedPicture.updateMany({ where: { addedById: userId }, data: { addedById: null, reason: null } });
  await t.trainingRun.updateMany({ where: { requestedById: userId }, data: { requestedById: null, why: null } });
  await t.adapterPromotion.updateMany({ where: { byId: userId }, data: { byId: null, why: null } });
  await t.job.updateMany({ where: { requestedById: userId }, data: { requestedById: null } });
}

async function removeRows(t: Transaction, userId: string): Promise<Removed> {
  const { count } = await t.user.updateMany({ where: { id: userId }, data: { name: null, locale: null } });
  if (count === 0) throw new FromageError({ code: 'STORE_REFERENCE', what: 'nothing is stored about this user' });
  const user = await t.user.findUniqueOrThrow({ where: { id: userId } });
  const { privateChats, lanes, tenants } = await placesOf(t, user);
  const chatIds = privateChats.map((chat) => chat.id);

  const which = { OR: [{ authorId: userId }, { conversation: { chatId: { in: chatIds } } }, { answer: { question: { OR: [{ authorId: userId }, { parts: { some: { quotedId: userId } } }] } } }] };
  const select = { id: true, role: true, parts: { select: { imageHash: true } }, answer: { select: { id: true } } } as const;
  const find = (take: number, after: string | undefined) => t.turn.findMany({ where: { ...which, ...(after === undefined ? {} : { id: { gt: after } }) }, orderBy: { id: 'asc' }, take, select });
  const turns = await inPages<Awaited<ReturnType<typeof find>>[number]>(Infinity, (take, last) => find(take, last?.id));
  const turnIds = turns.map((turn) => turn.id);
  await clearQueues(t, user, chatIds, lanes, turnIds);
  const pictures = await clearPictures(t, userId, tenants);

  const byPerson = await dropTrainRows(t, { userId });
  const byPicture = [];
  for (const some of chunks(pictures.ids)) byPicture.push(await dropTrainRows(t, { pictureId: { in: [...some] } }));
  const dropped = [byPerson, ...byPicture];

  for (const some of chunks(turnIds)) await t.turn.deleteMany({ where: { id: { in: [...some] } } });
  // Words and pictures of this person that others quoted.
  const quotations = await t.turnPart.findMany({ where: { quotedId: userId }, select: { imageHash: true } });
  await t.turnPart.deleteMany({ where: { quotedId: userId } });
  await t.chat.deleteMany({ where: { id: { in: chatIds } } });
  await t.setting.deleteMany({ where: { scope: { in: [`user:${userId}`, ...tenants] } } });
  for (const id of [userId, ...chatIds]) await t.limitWindow.deleteMany({ where: { key: { contains: id } } });
  await clearDeeds(t, userId);

  const votes = (await t.vote.deleteMany({ where: { userId } })).count + (await t.correction.deleteMany({ where: { userId } })).count;
  const consents = (await t.consent.deleteMany({ where: { userId } })).count;
  await t.user.delete({ where: { id: userId } });
  return {
    turns: turns.filter((turn) => turn.role === 'user').length,
    answers: turns.filter((turn) => turn.answer !== null).length,
    pictures: pictures.ids.length,
    votes,
    consents,
    trainRows: dropped.reduce((sum, one) => sum + one.rows, 0),
    pictureIds: pictures.ids,
    adapters: [...new Set(dropped.flatMap((one) => one.adapters))].sort(),
    hashes: [...[...turns.flatMap((turn) => turn.parts), ...quotations].flatMap((part) => part.imageHash ?? []), ...pictures.hashes, ...dropped.flatMap((one) => one.hashes)],
  };
}

/**
 * @param backups folder of copies made before migrations: they hold the person too, and go; null on PostgreSQL
 * @throws FromageError STORE_REFERENCE when nothing is stored about the user
 */
export async function forgetUser(database: Database, files: Files, userId: string, backups: string | null): Promise<ForgetReport> {
  const { hashes, ...report } = await database.write((t) => removeRows(t, userId));
  const removed = await files.release(hashes);
  if (backups !== null) await rm(backups, { recursive: true, force: true });
  await database.scrub();
  return { ...report, files: removed.length };
}
