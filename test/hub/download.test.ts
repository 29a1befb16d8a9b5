import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { scanCacheDir } from '@huggingface/hub';
import { downloadRepository, findCached, type HubSettings, inspectRepository, planDownload } from '../../src/hub/index.ts';
import { type FakeHub, type FakeRepository, type Fault, revision, type SeenRequest, startFakeHub } from '../fakes/hub/hub.ts';

const id = 'someone/model';
const weights = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
const config = new TextEncoder().encode('{"model_type":"opt"}');

let hub: FakeHub;
let cacheDir: string;

beforeEach(async () => {
  hub = await startFakeHub();
  cacheDir = mkdtempSync(join(tmpdir(), 'fromage-hub-test-'));
  publish();
});

afterEach(async () => {
  await hub.close();
  rmSync(cacheDir, { recursive: true, force: true });
});

function publish(more: Partial<FakeRepository> = {}): void {
  hub.repositories.set(id, {
    files: new Map([
      ['config.json', config],
      ['model.safetensors', weights],
      ['pytorch_model.bin', weights.slice(1)],
      ['tf_model.h5', weights.slice(2)],
      ['README.md', config],
    ]),
    licence: 'mit',
    ...more,
  });
}

function settings(more: Partial<HubSettings> = {}): HubSettings {
  return { endpoint: hub.endpoint, cacheDir, stallMs: 300, attempts: 3, backoffMs: 5, ...more };
}

async function pull(more: Partial<HubSettings> = {}, signal?: AbortSignal): Promise<string> {
  const at = settings(more);
  const repository = await inspectRepository(id, at, signal);
  return downloadRepository(repository, at, signal ? { signal } : {});
}

/** A fault for the first requests of the weights' body, one after another. */
function faultyWeights(...faults: readonly Fault[]): void {
  const left = [...faults];
  hub.fault = (request) => (isWeights(request) ? (left.shift() ?? null) : null);
}

function isWeights({ path, range }: SeenRequest): boolean {
  return path.endsWith('model.safetensors') && range !== 'bytes=0-0';
}

function ranges(): (string | null)[] {
  return hub.seen.filter(isWeights).map(({ range }) => range);
}

const sha256 = createHash('sha256').update(weights).digest('hex');

describe('a download', () => {
  test('brings the files that are needed, one form of the weights, in the layout that other tools read', async () => {
    const folder = await pull();
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(Buffer.from(weights))).toBe(true);
    expect(lstatSync(join(folder, 'model.safetensors')).isSymbolicLink()).toBe(true);
    expect(readlinkSync(join(folder, 'model.safetensors'))).toBe(join('..', '..', 'blobs', sha256));
    expect(readFileSync(join(cacheDir, 'models--someone--model', 'refs', 'main'), 'utf8')).toBe(revision);
    const { repos, warnings } = await scanCacheDir(cacheDir);
    expect(warnings).toEqual([]);
    expect(repos.map((repo) => [repo.id, repo.size, repo.revisions[0]?.refs])).toEqual([[{ name: id, type: 'model' }, weights.length + config.length, ['main']]]);
    expect(findCached(cacheDir, id)).toMatchObject({ folder, revision, complete: true });
  });

  test('asks for nothing that is here', async () => {
    await pull();
    hub.seen.length = 0;
    await pull();
    expect(hub.seen.filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
  });

  test('goes on with a range where the connection broke', async () => {
    faultyWeights({ kind: 'break', after: 70_000 }, { kind: 'break', after: 30_000 });
    const folder = await pull();
    expect(ranges()).toEqual([null, 'bytes=70000-199999', 'bytes=100000-199999']);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(Buffer.from(weights))).toBe(true);
  });

  test('gives up a silent connection and goes on', async () => {
    faultyWeights({ kind: 'stall', after: 50_000 });
    await pull();
    expect(ranges()).toEqual([null, 'bytes=50000-199999']);
  });

  test('goes on with what an earlier run left, another tool’s too', async () => {
    const blobs = join(cacheDir, 'models--someone--model', 'blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256}.incomplete`), weights.subarray(0, 1234));
    const repository = await inspectRepository(id, settings());
    expect(await planDownload([repository], cacheDir)).toMatchObject({ bytes: weights.length + config.length, missing: weights.length - 1234 + config.length });
    await pull();
    expect(ranges()).toEqual(['bytes=1234-199999']);
    expect(readdirSync(blobs).some((name) => name.endsWith('.incomplete'))).toBe(false);
  });

  test('takes the whole file from a server that knows no ranges', async () => {
    faultyWeights({ kind: 'break', after: 70_000 }, { kind: 'whole' });
    const folder = await pull();
    expect(readFileSync(join(folder, 'model.safetensors')).equals(Buffer.from(weights))).toBe(true);
  });

  test('stops when asked, keeps what came, leaves no snapshot, and goes on later', async () => {
    const stop = new AbortController();
    faultyWeights({ kind: 'stall', after: 60_000 });
    const repository = await inspectRepository(id, settings());
    const stopped = downloadRepository(repository, settings({ stallMs: 30_000 }), { signal: stop.signal, onProgress: (done) => (done > 50_000 ? stop.abort() : undefined) });
    await expect(stopped).rejects.toThrow(/abort/i);
    expect(findCached(cacheDir, id)).toBeNull();
    expect(statSync(join(cacheDir, 'models--someone--model', 'blobs', `${sha256}.incomplete`)).size).toBeGreaterThan(0);
    await pull();
    expect(findCached(cacheDir, id)?.complete).toBe(true);
  });

  test('fetches a file once when two ask for it at the same time', async () => {
    await Promise.all([pull(), pull()]);
    expect(ranges()).toEqual([null]);
  });

  test('begins again when the bytes here are not those of the file, and reports wrong bytes', async () => {
    const blobs = join(cacheDir, 'models--someone--model', 'blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256}.incomplete`), new Uint8Array(5000));
    await pull();
    expect(ranges()).toEqual(['bytes=5000-199999', null]);

    rmSync(cacheDir, { recursive: true });
    const wrong = weights.slice().fill(7, 100, 200);
    hub.fault = (request) => (isWeights(request) ? { kind: 'bytes', bytes: wrong } : null);
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_CHECKSUM' });
    expect(existsSync(join(blobs, sha256))).toBe(false);
  });

  test('tells progress that never goes beyond the whole', async () => {
    const repository = await inspectRepository(id, settings());
    const seen: number[] = [];
    await downloadRepository(repository, settings(), { onProgress: (done, total) => seen.push(done / total) });
    expect(seen.at(-1)).toBe(1);
    expect(Math.max(...seen)).toBe(1);
  });
});

describe('a hub that lies or fails', () => {
  test('about sizes', async () => {
    hub.fault = ({ path }) => (path.endsWith('model.safetensors') ? { kind: 'claim', size: 10 ** 12 } : null);
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_SIZE' });
    hub.fault = (request) => (isWeights(request) ? { kind: 'bytes', bytes: new Uint8Array(300_000) } : null);
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_SIZE' });
    expect(statSync(join(cacheDir, 'models--someone--model', 'blobs', `${sha256}.incomplete`)).size).toBeLessThanOrEqual(weights.length);
  });

  test.each([
    [401, 'HUB_ACCESS', 1],
    [403, 'HUB_ACCESS', 1],
    [404, 'HUB_NOT_FOUND', 1],
    [429, 'HUB_UNREACHABLE', 3],
    [503, 'HUB_UNREACHABLE', 3],
    [418, 'HUB_RESPONSE', 1],
  ])('with status %i', async (status, code, tries) => {
    hub.fault = ({ path }) => (path.endsWith('/model.safetensors') ? { kind: 'status', status } : null);
    await expect(pull()).rejects.toMatchObject({ code });
    expect(hub.seen.filter(({ path }) => path.endsWith('/model.safetensors'))).toHaveLength(tries);
    hub.fault = () => ({ kind: 'status', status });
    await expect(inspectRepository(id, settings())).rejects.toMatchObject({ code });
  });

  test('passingly', async () => {
    let left = 2;
    hub.fault = () => (left-- > 0 ? { kind: 'status', status: 503 } : null);
    await expect(pull()).resolves.toContain(revision);
  });

  test('by not being there', async () => {
    await hub.close();
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
  });

  test.each([
    ['in a circle', () => `${hub.endpoint}/${id}/resolve/${revision}/model.safetensors`],
    ['to a file', () => 'file:///etc/passwd'],
  ])('by redirecting %s', async (_, to) => {
    hub.fault = ({ path }) => (path.endsWith('/model.safetensors') ? { kind: 'redirect', to: to() } : null);
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_REDIRECT' });
  });

  test.each(['../../evil.json', '/etc/passwd', 'a/../../b', 'C:\\evil', 'a//b', 'x\u0000y'])('with a file named %j', async (path) => {
    publish({ files: new Map([['config.json', config], [path, config], ['model.safetensors', weights]]) });
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_PATH' });
  });

  test.each([
    ['a hash that is a path', { oid: '../../x' }],
    ['a size that is no number', { size: 'many' }],
    ['a size below nothing', { size: -1 }],
    ['an absurd size', { size: 2 ** 60 }],
  ])('by listing %s', async (_, lie) => {
    publish({ listing: (entry) => ({ ...entry, ...lie }) });
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_RESPONSE' });
  });

  test('by promising what no disk holds', async () => {
    publish({ listing: (entry) => ({ ...entry, size: 2 ** 41, lfs: { oid: sha256, size: 2 ** 41, pointerSize: 1 } }) });
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_DISK' });
  });
});

describe('a token', () => {
  test('opens a private repository and goes to the hub alone', async () => {
    publish({ token: 'hf_secret' });
    await expect(pull()).rejects.toMatchObject({ code: 'HUB_ACCESS' });
    const storage = await startFakeHub();
    try {
      storage.repositories.set(id, { files: new Map([['model.safetensors', weights]]) });
      hub.fault = ({ path }) => (path.endsWith('/model.safetensors') ? { kind: 'redirect', to: `${storage.endpoint}${path}` } : null);
      await pull({ token: 'hf_secret' });
      expect(storage.seen.length).toBeGreaterThan(0);
      expect(storage.seen.every(({ authorization }) => authorization === null)).toBe(true);
    } finally {
      await storage.close();
    }
  });

  test('of another kind is refused before it is sent', async () => {
    await expect(pull({ token: 'ghp_x' })).rejects.toMatchObject({ code: 'HUB_TOKEN' });
    expect(hub.seen).toEqual([]);
  });
});

test('offline asks nothing', async () => {
  await expect(pull({ offline: true })).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
  expect(hub.seen).toEqual([]);
});

test.each(['a/b/c', '../x', 'a b', '', 'https://x/y'])('%j is not an id', async (name) => {
  await expect(inspectRepository(name, settings())).rejects.toMatchObject({ code: 'HUB_ID' });
});

test('a repository without a model is refused in words', async () => {
  publish({ files: new Map([['README.md', config]]) });
  await expect(pull()).rejects.toMatchObject({ code: 'HUB_FILES' });
});
