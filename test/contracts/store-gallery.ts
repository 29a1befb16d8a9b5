// Picture files, gallery rows and learning: what every store must do.
import { expect, test } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NewPicture } from '../../src/retrieval/contracts.ts';
import { hashOfRows, type Store } from '../../src/store/index.ts';
import type { TrainRow } from '../../src/learning/contracts.ts';
import { type GetStore, answerTo, scene } from './store-conversations.ts';

const facts = { mimeType: 'image/png', width: 4, height: 3 };

export const pictureOf = (more: Partial<NewPicture> = {}): NewPicture => ({
  id: randomUUID(), hash: '', tenant: 'all', alt: 'a cat', caption: null, source: null, licence: null, addedBy: null, addedAt: 1, tags: [], contentClass: 'safe', ...facts, perceptualHash: null, url: null, ...more,
});

export const trainRow = (more: Partial<TrainRow> = {}): TrainRow => ({
  kind: 'caption', split: 'train', weight: 1, text: 'a cat', imageHash: null, pictureId: null, extra: null,
  provenance: { userId: null, consentId: null, platform: null, chatId: null, answerId: null, origin: 'base', contentClass: 'safe' }, ...more,
});

export function galleryContract(get: GetStore, folderOf: () => string): void {
  test('bytes are kept once under their hash and go with their last reference', async () => {
    const { files, conversations, pictures } = get();
    const { user, conversation } = await scene(get());
    const bytes = new Uint8Array(randomBytes(1000));
    const [one, two] = await Promise.all([files.put(bytes, { ...facts, alt: 'first' }), files.put(bytes, { ...facts, alt: 'second' })]);
    expect(one.hash).toBe(two.hash);
    expect(await files.get(one.hash)).toEqual(bytes);
    expect(await files.stat(one.hash)).toMatchObject({ byteSize: 1000, mimeType: 'image/png' });
    const turn = await conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'image', hash: one.hash }] });
    const picture = pictureOf({ hash: one.hash });
    await pictures.add([picture]);
    expect(await files.references(one.hash)).toBe(2);
    expect(await files.remove(one.hash)).toBe(false);
    await conversations.removeTurn(turn.id);
    expect(await files.get(one.hash)).toEqual(bytes);
    expect(await pictures.remove([picture.id, randomUUID()])).toEqual([picture.id]);
    expect(await files.get(one.hash)).toBeNull();
    expect(await files.get('../../etc/passwd')).toBeNull();
  });

  test('a damaged or missing file is an error with a code, and rubbish is collected', async () => {
    const { files } = get();
    const bytes = new Uint8Array(randomBytes(64));
    const { hash } = await files.put(bytes, facts);
    const path = `${folderOf()}/pictures/${hash.slice(0, 2)}/${hash}`;
    writeFileSync(path, 'x'.repeat(64));
    await expect(files.get(hash)).rejects.toMatchObject({ code: 'STORE_FILE_DAMAGED' });
    rmSync(path);
    await expect(files.get(hash)).rejects.toMatchObject({ code: 'STORE_FILE_DAMAGED' });
    await files.put(bytes, facts);
    expect(await files.get(hash)).toEqual(bytes);
    writeFileSync(`${folderOf()}/pictures/${hash.slice(0, 2)}/.draft`, 'left by a crash');
    expect(await files.collect()).toBe(0);
    await sleep(5);
    expect(await files.collect(0)).toBeGreaterThanOrEqual(2);
    expect(await files.get(hash)).toBeNull();
  });

  test('gallery rows with pooled outputs and vectors come back bit by bit, in pages', async () => {
    const { pictures } = get();
    const tenant = `chat:${randomUUID()}`;
    const encoder = `enc-${tenant}`;
    const values = Array.from({ length: 25 }, (_, i) => Float32Array.of(i, Math.fround(i / 3), -0, Math.fround(1e-38)));
    const rows = values.map((pooled, i) => pictureOf({ tenant, tags: ['cat', `n${i}`], addedAt: 1_700_000_000_000 + i, pooled: { encoder, values: pooled } }));
    expect(await pictures.add(rows)).toBe(25);
    expect(await pictures.add(rows)).toBe(0);
    const ids = rows.map((row) => row.id).sort();
    const first = await pictures.pooled(encoder, { limit: 10 });
    const rest = await pictures.pooled(encoder, { after: first.at(-1)!.id });
    expect([...first, ...rest].map((one) => one.id)).toEqual(ids);
    for (const { id, values: found } of [...first, ...rest]) expect(found).toEqual(values[rows.findIndex((row) => row.id === id)]);
    const projection = `v-${tenant}`;
    const without = await pictures.withoutVector(projection, encoder, { limit: 100 });
    expect(without).toHaveLength(25);
    await pictures.putVectors(projection, without.slice(0, 20));
    await pictures.putVectors(projection, without.slice(0, 5));
    expect(await pictures.countVectors(projection)).toBe(20);
    expect(await pictures.withoutVector(projection, encoder)).toHaveLength(5);
    expect((await pictures.vectors(projection, { limit: 1 }))[0]).toEqual(without[0]);
    expect(await pictures.dropProjection(projection)).toBe(20);
    const { pooled: _, ...plain } = rows[3]!;
    expect(await pictures.get(plain.id)).toEqual({ ...plain, tags: ['cat', 'n3'], dead: false });
    expect((await pictures.getMany([ids[2]!, 'none', ids[0]!])).map((row) => row.id)).toEqual([ids[2], ids[0]]);
    expect(await pictures.count({ tenants: [tenant], tag: 'n7' })).toBe(1);
    expect(await pictures.update(ids[0]!, { alt: 'a dog', tags: ['dog'], dead: true })).toBe(true);
    expect(await pictures.count({ tenants: [tenant] })).toBe(24);
    expect((await pictures.list({ tenants: [tenant], includeDead: true, tag: 'dog' }))[0]).toMatchObject({ alt: 'a dog', dead: true });
    expect(await pictures.withoutPooled('another', { limit: 1 })).toHaveLength(1);
  });

  test('near duplicates, the deny list, the active projection and cursors', async () => {
    const { pictures } = get();
    const tenant = `chat:${randomUUID()}`;
    const [a, b] = [pictureOf({ tenant, perceptualHash: 'ffff0000ffff0000' }), pictureOf({ tenant, perceptualHash: 'ffff0000ffff0007' })];
    await pictures.add([a, b]);
    expect((await pictures.findSimilar('ffff0000ffff0001', tenant, 2)).map((row) => row.id)).toEqual([a, b].map((row) => row.id));
    expect((await pictures.findSimilar('ffff0000ffff0000', tenant, 2)).map((row) => row.id)).toEqual([a.id]);
    expect(await pictures.findSimilar('ffff0000ffff0001', 'all')).toEqual([]);
    await pictures.deny('00ff00ff00ff00ff', { reason: 'takedown', by: 'admin' });
    expect(await pictures.isDenied('00ff00ff00ff00ff')).toBe(true);
    expect(await pictures.isDenied('00ff00ff00ff00fe')).toBe(false);
    expect(await pictures.isDenied('00ff00ff00ff00fe', 1)).toBe(true);
    expect(await pictures.denied()).toMatchObject([{ perceptualHash: '00ff00ff00ff00ff', reason: 'takedown', by: 'admin' }]);
    expect(await pictures.undeny('00ff00ff00ff00ff')).toBe(true);
    await pictures.activateProjection('one');
    await pictures.activateProjection('two');
    expect(await pictures.activeProjection()).toBe('two');
    await pictures.setCursor(tenant, 'line 7');
    expect(await pictures.cursor(tenant)).toBe('line 7');
  });

  test('one adapter serves, and the way it came to is kept', async () => {
    const { adapters, conversations } = get();
    const [a, b] = [randomUUID(), randomUUID()];
    const version = (id: string, parentId: string | null) => ({ id, parentId, folder: `adapters/${id}`, hash: 'h', visualHash: 'v', trainSetId: null, runId: null, metrics: { recall: 0.5 } });
    await adapters.add(version(a, null));
    await adapters.add(version(b, a));
    await expect(adapters.add(version(b, a))).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
    await adapters.promote(a, { why: 'first' });
    await adapters.judge(b, { recall: [0.5, 0.6] }, false);
    expect(await adapters.promote(b, { by: 'admin', why: 'better' })).toMatchObject({ adapterId: b, previousId: a, kind: 'promote', by: 'admin' });
    expect(await adapters.serving()).toMatchObject({ id: b, state: 'serving', verdict: { recall: [0.5, 0.6] } });
    expect(await adapters.get(a)).toMatchObject({ state: 'retired' });
    await Promise.all([adapters.promote(a, { kind: 'rollback' }), adapters.promote(b, {})]);
    expect((await adapters.list()).filter((one) => one.state === 'serving')).toHaveLength(1);
    await adapters.promote(a, { kind: 'rollback', why: 'worse' });
    expect((await adapters.promotions(1))[0]).toMatchObject({ adapterId: a, kind: 'rollback' });
    expect(await adapters.remove(a)).toBe(false);
    await expect(adapters.promote(randomUUID(), {})).rejects.toMatchObject({ code: 'STORE_REFERENCE' });
    expect(await adapters.serving()).toMatchObject({ id: a });
    const { chat } = await scene(get());
    await adapters.pin(chat.id, b);
    expect(await adapters.pinned(chat.id)).toBe(b);
    expect(await conversations.chat(chat.id)).not.toBeNull();
  });

  test('a train set is frozen under a hash and tells when rows have gone', async () => {
    const { trainSets, pictures } = get();
    const picture = pictureOf();
    await pictures.add([picture]);
    const rows = [trainRow(), trainRow({ kind: 'positive', pictureId: picture.id, extra: { b: 1, a: [2] }, weight: 0.5 }), trainRow({ split: 'held-out' })];
    const set = await trainSets.freeze(rows, { seed: 1 });
    expect(set).toMatchObject({ hash: hashOfRows(rows), rowCount: 3, removedRows: 0, usedAt: null, facts: { seed: 1 } });
    expect((await trainSets.rows(set.id)).map(({ position: _, ...row }) => row)).toEqual(rows);
    expect((await trainSets.rows(set.id, { after: 0, limit: 1 })).map((row) => row.position)).toEqual([1]);
    expect(hashOfRows([trainRow({ extra: { a: 1, b: 2 } })])).toBe(hashOfRows([trainRow({ extra: { b: 2, a: 1 } })]));
    expect(hashOfRows(rows)).not.toBe(hashOfRows(rows.slice(1)));
    await pictures.remove([picture.id]);
    expect(await trainSets.get(set.id)).toMatchObject({ removedRows: 1 });
    expect(await trainSets.rows(set.id)).toHaveLength(2);
    expect(await trainSets.markUsed(set.id)).toBe(false);
    const fresh = await trainSets.freeze(rows.slice(0, 1));
    expect(await trainSets.markUsed(fresh.id)).toBe(true);
    expect((await trainSets.get(fresh.id))!.usedAt).not.toBeNull();
  });

  test('a job is done by one worker at a time and can be stopped', async () => {
    const { jobs } = get();
    const kind = `retrain-${randomUUID()}`;
    const both = await Promise.all([jobs.enqueue({ kind, key: kind, payload: { why: 'x' } }), jobs.enqueue({ kind, key: kind })]);
    expect(both.filter((one) => one.created)).toHaveLength(1);
    expect(both[0]!.job.id).toBe(both[1]!.job.id);
    const claims = await Promise.all([jobs.claim([kind], { owner: 'a', leaseMs: 900 }), jobs.claim([kind], { owner: 'b', leaseMs: 900 })]);
    const first = claims.find((claim) => claim !== null)!;
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
    expect(await jobs.heartbeat(first, 300, { step: 1 })).toBe('go-on');
    await sleep(350);
    const second = (await jobs.claim([kind], { owner: 'c', leaseMs: 10_000 }))!;
    expect(second).toMatchObject({ id: first.id, attempts: 2, progress: { step: 1 } });
    expect(await jobs.heartbeat(first, 1000)).toBe('lost');
    expect(await jobs.finish(first, { state: 'done' })).toBe(false);
    expect(await jobs.cancel(second.id)).toBe(true);
    expect(await jobs.heartbeat(second, 1000)).toBe('cancel');
    expect(await jobs.finish(second, { state: 'cancelled' })).toBe(true);
    expect(await jobs.cancel(second.id)).toBe(false);
    expect((await jobs.enqueue({ kind, key: kind })).created).toBe(true);
    expect((await jobs.list({ kind })).map((job) => job.state).sort()).toEqual(['cancelled', 'waiting']);
  });

  test('a run keeps its curve', async () => {
    const { runs } = get();
    const run = await runs.create({ why: 'because', config: { steps: 2 } });
    await runs.update(run.id, { state: 'running', totalSteps: 2 });
    await runs.record(run.id, [{ step: 1, at: 5, values: { loss: 2.5 } }, { step: 2, at: 6, values: { loss: 2 } }]);
    await runs.record(run.id, [{ step: 2, at: 7, values: { loss: 1.5 } }]);
    expect(await runs.curve(run.id)).toEqual([{ step: 1, at: 5, values: { loss: 2.5 } }, { step: 2, at: 7, values: { loss: 1.5 } }]);
    const done = (await runs.update(run.id, { state: 'done', step: 2 }))!;
    expect(done.startedAt).not.toBeNull();
    expect(done.finishedAt).not.toBeNull();
    expect(await runs.update(randomUUID(), { step: 1 })).toBeNull();
  });

  test('feedback comes with the consents in force, and without those of elsewhere', async () => {
    const store: Store = get();
    const { platform, user, chat, conversation } = await scene(store);
    const voter = await store.conversations.ensureUser({ platform, externalId: '55' });
    const picture = pictureOf();
    await store.pictures.add([picture]);
    const question = await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: 'her words', quoted: voter.id }, { type: 'text', text: 'my cat?' }] });
    const answer = await store.conversations.saveAnswer(answerTo(conversation, question.id, { shown: [{ pictureId: picture.id, ret: 0, score: 0.5 }] }));
    const before = Date.now() - 1;
    await store.votes.set(answer.id, voter.id, 'up');
    await store.votes.correct(answer.id, voter.id, { kind: 'right-picture', pictureId: picture.id });
    await store.consents.grant(voter.id, 'train-votes', chat.id);
    await store.consents.grant(user.id, 'train-text', 'another chat');
    const mine = async () => (await store.feedback.since(before)).find((row) => row.answerId === answer.id)!;
    expect(await mine()).toMatchObject({
      userId: voter.id, platform, chatId: chat.id, vote: 'up', corrections: [{ kind: 'right-picture', pictureId: picture.id }], questionAuthorId: user.id,
      question: [{ type: 'text', text: 'my cat?' }], shown: [{ pictureId: picture.id, score: 0.5 }], voterConsents: [{ purpose: 'train-votes' }], authorConsents: [],
    });
    await store.consents.grant(user.id, 'train-text', null);
    await store.consents.grant(voter.id, 'train-text', chat.id);
    expect((await mine()).question).toEqual(question.parts);
    await store.consents.revoke(voter.id);
    expect((await mine()).question).toHaveLength(1);
    expect(await mine()).toMatchObject({ voterConsents: [], authorConsents: [{ purpose: 'train-text' }] });
    expect(await store.feedback.countSince(before)).toBeGreaterThanOrEqual(1);
    expect(await store.feedback.since((await mine()).at)).not.toContainEqual(expect.objectContaining({ answerId: answer.id }));
  });
}
