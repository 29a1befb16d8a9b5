// Everything that is stored about a person, as a zip: data.json and the pictures.
import { stat } from 'node:fs/promises';
import { ZipFile } from 'yazl';
import { FromageError } from '../errors.ts';
import type { JsonValue } from '../chat/contracts.ts';
import type { Client, Database } from './database.ts';
import { type Files, pathOf } from './files.ts';
import { chunks, fromJson, fromJsonOrNull, inPages } from './rows.ts';
import { placesOf } from './places.ts';

const extensions: Readonly<Record<string, string>> = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/gif': 'gif', 'image/avif': 'avif' };

/** Columns that hold JSON text. */
const jsonColumns = new Set(['payload', 'options', 'usage', 'extra', 'hits', 'platformMessageIds']);
/** Columns that hold milliseconds since 1970. */
const isTime = (name: string) => /(^a|A)t$|^until$/.test(name);

/** Rows as a person can read them: times as ISO dates, JSON opened, numbers from bytes counted rather than listed. */
function readable(value: unknown, name = ''): JsonValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return isTime(name) ? new Date(Number(value)).toISOString() : value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
  if (typeof value === 'string') return jsonColumns.has(name) ? fromJsonOrNull(value) : value;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Uint8Array) return Array.from(new Float32Array(value.slice().buffer));
  if (Array.isArray(value)) return value.map((inner) => readable(inner, name));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, readable(inner, key)]));
}

async function gather(client: Client, userId: string) {
  const user = await client.user.findUnique({ where: { id: userId } });
  if (!user) throw new FromageError({ code: 'STORE_REFERENCE', what: 'nothing is stored about this user' });
  const { privateChats, lanes, tenants } = await placesOf(client, user);
  const chatIds = privateChats.map((chat) => chat.id);
  const parts = { orderBy: { position: 'asc' } } as const;
  const after = (last: { id: string } | undefined) => (last ? { id: { gt: last.id } } : {});
  const include = { parts, messages: true, conversation: { include: { chat: true } }, answers: { include: { turn: { include: { parts } }, rets: true, shown: true } } } as const;
  const mine = { OR: [{ authorId: userId }, { conversation: { chatId: { in: chatIds } } }] };
  const findTurns = (take: number, last: { id: string } | undefined) => client.turn.findMany({ where: { ...mine, ...after(last) }, orderBy: { id: 'asc' }, take, include });
  const turns = await inPages<Awaited<ReturnType<typeof findTurns>>[number]>(Infinity, findTurns);
  turns.sort((a, b) => Number(a.createdAt - b.createdAt) || a.seq - b.seq);

  const added = { OR: [{ addedById: userId }, { tenant: { in: [...tenants] } }] };
  const findPictures = (take: number, last: { id: string } | undefined) => client.picture.findMany({ where: { ...added, ...after(last) }, orderBy: { id: 'asc' }, take, include: { tags: true, pooled: true, vectors: true } });
  const pictures = await inPages<Awaited<ReturnType<typeof findPictures>>[number]>(Infinity, findPictures);

  const trainRows = await client.trainRow.findMany({ where: { userId } });
  for (const some of chunks(pictures)) trainRows.push(...(await client.trainRow.findMany({ where: { pictureId: { in: some.map((picture) => picture.id) }, OR: [{ userId: null }, { userId: { not: userId } }] } })));
  const quotations = await client.turnPart.findMany({ where: { quotedId: userId } });
  const hashes = new Set([...turns.flatMap((turn) => turn.parts), ...quotations, ...pictures, ...trainRows].flatMap((row) => row.imageHash ?? []));
  const images = await client.image.findMany({ where: { addedById: userId } });
  for (const some of chunks([...hashes])) images.push(...(await client.image.findMany({ where: { hash: { in: [...some] }, OR: [{ addedById: null }, { addedById: { not: userId } }] } })));
  const scopes = [`user:${userId}`, ...tenants];
  return {
    images,
    data: {
      user,
      privateChats,
      turns,
      quotations,
      pictures,
      images,
      trainRows,
      votes: await client.vote.findMany({ where: { userId } }),
      corrections: await client.correction.findMany({ where: { userId } }),
      consents: await client.consent.findMany({ where: { userId } }),
      bans: await client.ban.findMany({ where: { userId } }),
      settings: (await client.setting.findMany({ where: { scope: { in: scopes } } })).map((row) => ({ ...row, value: fromJson(row.value) })),
      limits: await client.limitWindow.findMany({ where: { OR: [userId, ...chatIds].map((id) => ({ key: { contains: id } })) } }),
      waitingUpdates: await client.inboxUpdate.findMany({ where: { OR: [{ platform: user.platform, externalUserId: user.externalId }, { lane: { in: [...lanes] } }] } }),
      messages: await client.outboxMessage.findMany({ where: { OR: [{ userId }, { chatId: { in: chatIds } }] }, include: { sends: true } }),
      trainingRuns: await client.trainingRun.findMany({ where: { requestedById: userId } }),
      jobs: await client.job.findMany({ where: { requestedById: userId } }),
      promotions: await client.adapterPromotion.findMany({ where: { byId: userId } }),
      deniedPictures: await client.deniedPicture.findMany({ where: { addedById: userId } }),
    },
  };
}

/** @throws FromageError STORE_REFERENCE when nothing is stored about the user */
export async function writeMyData(database: Database, files: Files, userId: string): Promise<AsyncIterable<Uint8Array>> {
  const { data, images } = await database.read((client) => gather(client, userId));
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(JSON.stringify({ format: 1, exportedAt: new Date().toISOString(), ...(readable(data) as object) }, null, 2)), 'data.json');
  for (const { hash, mimeType } of images) {
    const path = pathOf(files.folder, hash);
    // Pictures are compressed already.
    if ((await stat(path).catch(() => null))?.isFile()) zip.addFile(path, `pictures/${hash}.${extensions[mimeType] ?? 'bin'}`, { compress: false });
  }
  zip.end();
  return zip.outputStream as unknown as AsyncIterable<Uint8Array>;
}
