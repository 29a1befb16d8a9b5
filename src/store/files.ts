// Bytes by content hash: a row in the database, a file in a folder. The row comes last and goes first, so a
// row always has its file and a file without a row is rubbish that the next sweep takes.
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FromageError } from '../errors.ts';
import type { FileStore, NewFile, StoredFile } from '../retrieval/contracts.ts';
import type { Client, Database, Transaction } from './database.ts';
import { asStoreError } from './errors.ts';
import { fromTime, toTextOrNull, toTime } from './rows.ts';

const day = 86_400_000;

/** `ab/abcd….`: 256 folders keep each small. */
export const pathOf = (folder: string, hash: string): string => join(folder, hash.slice(0, 2), hash);
const isHash = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

/** Ends when the folder's entry itself is on the disk; not all systems can, then the file's own fsync must do. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY).catch(() => null);
  if (!handle) return;
  await handle.sync().catch(() => undefined);
  await handle.close();
}

/** Whole or not at all, and on the disk: written beside its place, synced, renamed. */
async function writeDurably(folder: string, hash: string, bytes: Uint8Array): Promise<void> {
  const target = pathOf(folder, hash);
  const directory = join(target, '..');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const draft = join(directory, `.${hash}.${randomUUID()}`);
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, target);
    await syncFolder(directory);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
}

export function fileOf(row: { hash: string; byteSize: number; mimeType: string; width: number; height: number; perceptualHash: string | null; alt: string | null; caption: string | null; source: string | null; licence: string | null; addedById: string | null; contentClass: string; createdAt: bigint }): StoredFile {
  const { hash, byteSize, mimeType, width, height, perceptualHash, alt, caption, source, licence, addedById, contentClass, createdAt } = row;
  return { hash, byteSize, mimeType, width, height, perceptualHash, alt, caption, source, licence, addedBy: addedById, contentClass, createdAt: fromTime(createdAt) };
}

/** How many rows point to the bytes. */
export async function countReferences(client: Client | Transaction, hash: string): Promise<number> {
  const parts = await client.turnPart.count({ where: { imageHash: hash } });
  const pictures = await client.picture.count({ where: { imageHash: hash } });
  return parts + pictures + (await client.trainRow.count({ where: { imageHash: hash } }));
}

/** Deletes the row if nothing refers to it; the caller removes the file once the transaction is through. */
async function dropRow(t: Transaction, hash: string): Promise<boolean> {
  const { count } = await t.image.updateMany({ where: { hash }, data: { touchedAt: { increment: 0 } } });
  if (count === 0 || (await countReferences(t, hash)) > 0) return false;
  await t.image.delete({ where: { hash } });
  return true;
}

/** What other parts of the store need beyond the contract. */
export interface Files extends FileStore {
  readonly folder: string;
  /** Of these, removes whatever nothing refers to any more; gives the hashes that went. */
  release(hashes: readonly string[]): Promise<readonly string[]>;
}

/** @param folder absolute; made when first written to */
export function createFiles(database: Database, folder: string): Files {
  const files: Files = {
    folder,

    async put(bytes, facts: NewFile) {
      const hash = createHash('sha256').update(bytes).digest('hex');
      const now = toTime(Date.now());
      try {
        const there = await stat(pathOf(folder, hash)).catch(() => null);
        if (there?.size !== bytes.byteLength) await writeDurably(folder, hash, bytes);
        const write = () =>
          database.write((t) =>
            t.image.upsert({
              where: { hash },
              create: {
                hash,
                byteSize: bytes.byteLength,
                mimeType: facts.mimeType,
                width: facts.width,
                height: facts.height,
                perceptualHash: facts.perceptualHash ?? null,
                alt: toTextOrNull(facts.alt),
                caption: toTextOrNull(facts.caption),
                source: toTextOrNull(facts.source),
                licence: toTextOrNull(facts.licence),
                addedById: facts.addedBy ?? null,
                contentClass: facts.contentClass ?? 'safe',
                createdAt: now,
                touchedAt: now,
              },
              update: { touchedAt: now },
            }),
          );
        const row = await write();
        // A sweep may have taken the file between our look and the row: then it is written again.
        if (!(await stat(pathOf(folder, hash)).catch(() => null))) await writeDurably(folder, hash, bytes);
        return fileOf(row);
      } catch (error) {
        throw asStoreError(error);
      }
    },

    async get(hash) {
      if (!isHash(hash)) return null;
      const row = await database.read((client) => client.image.findUnique({ where: { hash }, select: { byteSize: true } }));
      if (!row) return null;
      let bytes: Buffer;
      try {
        bytes = await readFile(pathOf(folder, hash));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw asStoreError(error);
        throw new FromageError({ code: 'STORE_FILE_DAMAGED', what: `picture ${hash} is missing from the picture folder`, todo: 'put back the folder pictures/ from a backup, or remove the picture', cause: error });
      }
      const found = createHash('sha256').update(bytes).digest('hex');
      if (found !== hash) {
        throw new FromageError({ code: 'STORE_FILE_DAMAGED', what: `picture ${hash} has ${bytes.byteLength} bytes with hash ${found}`, why: `${row.byteSize} bytes were stored`, todo: 'put it back from a backup, or remove the picture' });
      }
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },

    stat: (hash) => database.read(async (client) => {
      const row = await client.image.findUnique({ where: { hash } });
      return row && fileOf(row);
    }),

    references: (hash) => database.read((client) => countReferences(client, hash)),

    remove: async (hash) => (await files.release([hash])).length > 0,

    async release(hashes) {
      const removed: string[] = [];
      for (const hash of new Set(hashes)) {
        if (!isHash(hash) || !(await database.write((t) => dropRow(t, hash)))) continue;
        await rm(pathOf(folder, hash), { force: true }).catch((error: unknown) => {
          throw asStoreError(error);
        });
        removed.push(hash);
      }
      return removed;
    },

    async collect(graceMs = day) {
      const before = Date.now() - graceMs;
      const old = await database.read((client) => client.image.findMany({ where: { touchedAt: { lte: toTime(before) } }, select: { hash: true } }));
      let count = (await files.release(old.map((row) => row.hash))).length;
      // Files without a row: left by a process that died between file and row.
      for (const part of await readdir(folder).catch(() => [])) {
        for (const name of await readdir(join(folder, part)).catch(() => [])) {
          const path = join(folder, part, name);
          const facts = await stat(path).catch(() => null);
          if (!facts?.isFile() || facts.mtimeMs > before) continue;
          if (isHash(name) && (await database.read((client) => client.image.count({ where: { hash: name } }))) > 0) continue;
          await rm(path, { force: true });
          count += 1;
        }
      }
      return count;
    },
  };
  return files;
}
