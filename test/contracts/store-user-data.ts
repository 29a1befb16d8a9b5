// Export and deletion of a person: every table, every file, and in the end the raw bytes on the disk.
import { expect, test } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { type Entry, fromBuffer } from 'yauzl';
import type { Store } from '../../src/store/index.ts';
import { pictureOf, trainRow } from './store-gallery.ts';
import { type GetStore, answerTo } from './store-conversations.ts';

/** Every place in the raw files of a folder where one of the needles occurs. */
export function scanFiles(folder: string, needles: readonly Buffer[]): string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!statSync(path).isFile()) continue;
    const bytes = readFileSync(path);
    needles.forEach((needle, i) => {
      if (bytes.includes(needle) || name.includes(needle.toString('latin1'))) found.push(`${name}: needle ${i}`);
    });
  }
  return found;
}

/** The same for the rows of a PostgreSQL database, as text and as hexadecimal bytes. */
async function scanTables(url: string, needles: readonly Buffer[]): Promise<string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const found: string[] = [];
    const { rows: tables } = await client.query<{ name: string }>(`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`);
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" t`);
      needles.forEach((needle, i) => {
        if (rows.some(({ row }) => row.includes(needle.toString('utf8')) || row.includes(needle.toString('hex')))) found.push(`${name}: needle ${i}`);
      });
    }
    return found;
  } finally {
    await client.end();
  }
}

export async function unzip(bytes: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  await new Promise<void>((resolve, reject) => {
    fromBuffer(bytes, { lazyEntries: true }, (error, zip) => {
      if (error) return reject(error);
      zip.on('error', reject).on('end', resolve);
      zip.on('entry', (entry: Entry) => {
        zip.openReadStream(entry, (failure, stream) => {
          if (failure) return reject(failure);
          const parts: Buffer[] = [];
          stream.on('data', (part: Buffer) => parts.push(part)).on('end', () => {
            files.set(entry.fileName, Buffer.concat(parts));
            zip.readEntry();
          });
        });
      });
      zip.readEntry();
    });
  });
  return files;
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** One person with something in every table, beside another one who shares a group, a picture and a train set. */
export async function fullLife(store: Store) {
  const platform = `p-${randomUUID()}`;
  const word = (name: string) => `zq${name}${randomBytes(6).toString('hex')}`;
  const words = { id: word('id'), name: word('name'), group: word('group'), direct: word('direct'), answer: word('answer'), caption: word('caption'), train: word('train'), used: word('used'), correction: word('fix'), waiting: word('waiting'), out: word('out'), dead: word('dead'), setting: word('setting'), chat: word('chat'), quote: word('quote'), echo: word('echo'), mine: word('mine') };
  const own = new Uint8Array(randomBytes(3000));
  const shared = new Uint8Array(randomBytes(3000));
  const learnt = new Uint8Array(randomBytes(3000));
  const facts = { mimeType: 'image/png', width: 1, height: 1 };
  const { conversations, files, inbox, outbox, pictures, trainSets, adapters, votes, consents, settings, limits } = store;

  const user = await conversations.ensureUser({ platform, externalId: words.id, name: words.name });
  const other = await conversations.ensureUser({ platform, externalId: 'other', name: 'Bob' });
  const group = await conversations.ensureChat({ platform, externalId: '-1', kind: 'group' });
  const direct = await conversations.ensureChat({ platform, externalId: words.chat, kind: 'private' });
  const [inGroup, inDirect] = [await conversations.current(group.id), await conversations.current(direct.id)];
  const ownFile = await files.put(own, { ...facts, addedBy: user.id, alt: words.caption });
  const sharedFile = await files.put(shared, { ...facts, addedBy: user.id, caption: words.caption });
  const learntFile = await files.put(learnt, facts);
  const image = (hash: string) => ({ type: 'image', hash }) as const;
  const text = (value: string) => ({ type: 'text', text: value }) as const;

  const question = await conversations.appendTurn(inGroup.id, { role: 'user', authorId: user.id, parts: [text(words.group), image(ownFile.hash), image(sharedFile.hash)], messageIds: ['1'] });
  const kept = await conversations.appendTurn(inGroup.id, { role: 'user', authorId: other.id, parts: [text('kept'), image(sharedFile.hash)], messageIds: ['2'] });
  const answer = await conversations.saveAnswer(answerTo(inGroup, question.id, { parts: [text(words.answer)] }));
  const picture = pictureOf({ tenant: `chat:${group.id}`, hash: learntFile.hash, caption: words.caption, alt: words.caption, addedBy: user.id, tags: [words.caption], vectors: [{ projection: 'v', values: new Float32Array(4) }] });
  await pictures.add([picture]);
  const shown = await conversations.saveAnswer(answerTo(inGroup, kept.id, { parts: [text('look'), { type: 'image', hash: learntFile.hash, pictureId: picture.id, alt: words.caption }], shown: [{ pictureId: picture.id, ret: 0, score: 1 }] }));
  const quoting = await conversations.appendTurn(inGroup.id, { role: 'user', authorId: other.id, parts: [{ ...text(words.quote), quoted: user.id }, text('what does that mean?')] });
  await conversations.saveAnswer(answerTo(inGroup, quoting.id, { parts: [text(words.echo)], shown: [] }));
  await pictures.add([pictureOf({ tenant: `chat:${platform}:${words.chat}`, alt: words.mine })]);
  await conversations.appendTurn(inDirect.id, { role: 'user', authorId: user.id, parts: [text(words.direct)] });
  await votes.set(shown.id, user.id, 'up');
  await votes.correct(shown.id, user.id, { kind: 'it-shows', text: words.correction });
  await votes.set(answer.id, other.id, 'down');
  const consent = await consents.grant(user.id, 'train-text', null);

  const provenance = { userId: user.id, consentId: consent.id, platform, chatId: group.id, answerId: answer.id, origin: 'learn', contentClass: 'safe' };
  const unused = await trainSets.freeze([trainRow({ text: 'base' }), trainRow({ text: words.train, provenance })]);
  const used = await trainSets.freeze([trainRow({ text: 'base' }), trainRow({ text: words.used, pictureId: picture.id, imageHash: learntFile.hash, provenance })]);
  await trainSets.markUsed(used.id);
  const [trained, child, innocent] = [`${platform}-a`, `${platform}-b`, `${platform}-c`];
  const version = { folder: 'f', hash: 'h', visualHash: 'v', runId: null, metrics: {} };
  await adapters.add({ ...version, id: trained, parentId: null, trainSetId: used.id });
  await adapters.add({ ...version, id: child, parentId: trained, trainSetId: null });
  await adapters.add({ ...version, id: innocent, parentId: null, trainSetId: unused.id });

  await settings.set(`user:${user.id}`, 'language', words.setting);
  await settings.set(`chat:${direct.id}`, 'greeting', words.setting);
  await limits.take(`user:${user.id}:message`, { max: 5, windowMs: 1000 });
  const lane = `${platform}:${words.chat}`;
  await inbox.accept({ platform, updateId: 'dead', lane, payload: words.dead, externalUserId: words.id });
  await inbox.fail((await inbox.claimNext({ owner: 't', leaseMs: 10_000, platform }))!, words.dead);
  await inbox.accept({ platform, updateId: 'done', lane, payload: words.waiting, externalUserId: words.id });
  await inbox.complete((await inbox.claimNext({ owner: 't', leaseMs: 10_000, platform }))!);
  await inbox.accept({ platform, updateId: 'aside', lane: `${lane}#aside`, payload: words.waiting });
  await inbox.accept({ platform, updateId: 'waiting', lane, payload: words.waiting, externalUserId: words.id });
  await outbox.enqueue([
    { key: `${platform} answer`, platform, chatId: group.id, turnId: answer.turnId, userId: user.id, payload: words.out },
    { key: `${platform} direct`, platform, chatId: direct.id, payload: words.out },
    { key: `${platform} other`, platform, chatId: group.id, userId: other.id, payload: 'kept' },
  ]);
  const needles = [...Object.values(words).map((value) => Buffer.from(value)), Buffer.from(own.subarray(500, 532)), Buffer.from(learnt.subarray(500, 532)), Buffer.from(user.id)];
  return { platform, words, user, other, group, inGroup, kept, shown, picture, ownFile, sharedFile, learntFile, own, shared, unused, used, trained, child, innocent, needles };
}

export function userDataContract(get: GetStore, folderOf: () => string, databaseUrl: () => string | undefined): void {
  test('mydata holds everything of a person and nothing of another', async () => {
    const store = get();
    const life = await fullLife(store);
    const zip = await unzip(await collect(await store.userData.mydata(life.user.id)));
    const text = zip.get('data.json')!.toString('utf8');
    for (const [name, word] of Object.entries(life.words)) {
      // What the bot said to another person is that person's.
      if (name !== 'echo') expect(`${name} ${text.includes(word)}`).toBe(`${name} true`);
    }
    expect(zip.get(`pictures/${life.ownFile.hash}.png`)).toEqual(Buffer.from(life.own));
    expect([...zip.keys()].sort()).toEqual(['data.json', ...[life.ownFile, life.sharedFile, life.learntFile].map(({ hash }) => `pictures/${hash}.png`)].sort());
    expect(text).not.toContain('Bob');
    expect((JSON.parse(text) as { user: { createdAt: string } }).user.createdAt).toMatch(/^20\d\d-.*Z$/);
    await expect(store.userData.mydata(randomUUID())).rejects.toMatchObject({ code: 'STORE_REFERENCE' });
  });

  test('forget leaves no byte of a person in tables or files, keeps the others, and names the adapters', async () => {
    const store = get();
    const life = await fullLife(store);
    const scan = () => {
      const url = databaseUrl();
      return store.provider === 'sqlite' || url === undefined ? scanFiles(folderOf(), life.needles) : scanTables(url, life.needles);
    };
    const before = await scan();
    // The test can fail: each needle was there.
    const present = new Set(before.map((place) => place.split(' ').at(-1)));
    for (let i = 0; i < life.needles.length; i++) if (store.provider === 'sqlite' || i < Object.keys(life.words).length) expect(present).toContain(String(i));

    const report = await store.userData.forget(life.user.id);
    expect(report).toMatchObject({ turns: 2, answers: 2, pictures: 2, votes: 2, consents: 1, trainRows: 2, pictureIds: expect.arrayContaining([life.picture.id]), adapters: [life.trained, life.child], files: 2 });
    expect(await scan()).toEqual([]);
    expect(scanFiles(folderOf(), life.needles)).toEqual([]);

    expect(await store.conversations.user(life.user.id)).toBeNull();
    expect(await store.files.get(life.ownFile.hash)).toBeNull();
    expect(await store.files.get(life.sharedFile.hash)).toEqual(life.shared);
    expect((await store.conversations.turns(life.inGroup.id)).map((turn) => turn.parts[0])).toEqual([{ type: 'text', text: 'kept' }, { type: 'text', text: 'look' }, { type: 'text', text: 'what does that mean?' }]);
    expect(await store.trainSets.get(life.unused.id)).toMatchObject({ removedRows: 1 });
    expect(await store.trainSets.rows(life.unused.id)).toHaveLength(1);
    expect(await store.trainSets.rows(life.used.id)).toHaveLength(1);
    expect(await store.adapters.get(life.child)).toMatchObject({ forgottenRows: 1 });
    expect(await store.adapters.get(life.innocent)).toMatchObject({ forgottenRows: 0 });
    const left = await store.outbox.claimNext({ owner: 't', leaseMs: 10_000, platform: life.platform });
    expect(left).toMatchObject({ payload: 'kept' });
    expect(await store.inbox.claimNext({ owner: 't', leaseMs: 10_000, platform: life.platform })).toBeNull();
    await expect(store.userData.forget(life.user.id)).rejects.toMatchObject({ code: 'STORE_REFERENCE' });
  });

  test('the wish to be forgotten can be the update that is being worked on', async () => {
    const store = get();
    const life = await fullLife(store);
    const lane = `${life.platform}:${life.words.chat}`;
    let claim = (await store.inbox.claimNext({ owner: 't', leaseMs: 60_000, platform: life.platform }))!;
    if (claim.updateId === 'aside') claim = (await store.inbox.claimNext({ owner: 't', leaseMs: 60_000, platform: life.platform }))!;
    expect(claim.updateId).toBe('waiting');
    await store.userData.forget(life.user.id);
    expect(await store.inbox.complete(claim, [{ key: `${life.platform} bye`, platform: life.platform, chatId: life.group.id, payload: 'forgotten' }])).toBe(true);
    expect(await store.outbox.find(`${life.platform} bye`)).toMatchObject({ state: 'pending' });
    expect(await store.inbox.accept({ platform: life.platform, updateId: 'new', lane, payload: 'hello again' })).toBe('stored');
  });
}
