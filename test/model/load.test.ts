// Whole models from folders: parts found where they are named, checksums held, misfits refused.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findSources, loadFromage, saveAdapter, readAdapterFolder } from '../../src/model/index.ts';
import { findInHubCache, hubCacheFolder } from '../../src/model/model-sources.ts';
import { readManifest, verifyManifest } from '../../src/model/model-manifest.ts';

const starter = resolve(import.meta.dirname, '../../models/starter');
const golden = resolve(import.meta.dirname, '../../../shared/golden');
const withGolden = existsSync(golden) ? test : test.skip; // skipped where ../shared is not there

let scratch = '';
let cacheDir = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fromage-load-'));
  cacheDir = join(scratch, 'cache');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A model folder with one listed file. */
function folderWith(content: string): string {
  const folder = mkdtempSync(join(scratch, 'model-'));
  const sha256 = createHash('sha256').update(content).digest('hex');
  writeFileSync(join(folder, 'a.bin'), content);
  writeFileSync(join(folder, 'model.json'), JSON.stringify({ name: 'mine', languageModel: 'lm', visionEncoder: 'vision', adapter: 'adapter', promptStyle: 'qa', files: [{ path: 'a.bin', bytes: content.length, sha256, licence: 'MIT', origin: 'here' }] }));
  return folder;
}

test("the starter's files are the ones that its model.json lists, each with licence and origin", async () => {
  const manifest = readManifest(starter);
  expect(manifest.files.map((file) => file.path)).toEqual(['SmolLM2-135M-Instruct.Q4_1.gguf', 'efficientnet-lite0.pth', 'adapter/pretrained_ckpt.pth.tar', 'adapter/model_args.json']);
  await verifyManifest(starter, manifest, null);
  const sources = await findSources({ model: 'starter', cacheDir, verify: 'never' });
  expect(sources).toMatchObject({ name: 'starter', promptStyle: 'chat' });
  expect(existsSync(sources.languageModel) && existsSync(sources.visionEncoder) && existsSync(sources.adapter)).toBe(true);
});

test('a changed file is found, by size or by SHA-256, also after it was verified', async () => {
  const folder = folderWith('weights');
  const manifest = readManifest(folder);
  await verifyManifest(folder, manifest, cacheDir);
  writeFileSync(join(folder, 'a.bin'), 'weighty');
  await expect(verifyManifest(folder, manifest, cacheDir)).rejects.toThrow(/a\.bin.*SHA-256.*MODEL_CHECKSUM/);
  writeFileSync(join(folder, 'a.bin'), 'weights and more');
  await expect(verifyManifest(folder, manifest, cacheDir)).rejects.toThrow(/16 bytes, expected 7.*MODEL_CHECKSUM/);
  rmSync(join(folder, 'a.bin'));
  await expect(verifyManifest(folder, manifest, cacheDir)).rejects.toThrow(/MODEL_NOT_HERE/);
});

test('a verified file is not hashed again while size and time stay', async () => {
  const folder = folderWith('weights');
  const manifest = readManifest(folder);
  const when = new Date(1_700_000_000_000);
  utimesSync(join(folder, 'a.bin'), when, when);
  await verifyManifest(folder, manifest, cacheDir);
  writeFileSync(join(folder, 'a.bin'), 'weighty');
  utimesSync(join(folder, 'a.bin'), when, when);
  await verifyManifest(folder, manifest, cacheDir);
  await expect(verifyManifest(folder, manifest, null)).rejects.toThrow(/MODEL_CHECKSUM/);
  writeFileSync(join(cacheDir, 'verified-files.json'), 'not JSON');
  await expect(verifyManifest(folder, manifest, cacheDir)).rejects.toThrow(/MODEL_CHECKSUM/);
});

test('a manifest that is broken or leads out of its folder is refused', async () => {
  const folder = mkdtempSync(join(scratch, 'manifest-'));
  expect(() => readManifest(folder)).toThrow(/MODEL_MANIFEST/);
  writeFileSync(join(folder, 'model.json'), JSON.stringify({ ...readManifest(starter), languageModel: '../../etc/passwd' }));
  await expect(findSources({ model: folder, cacheDir })).rejects.toThrow(/languageModel.*MODEL_MANIFEST/s);
});

withGolden("the authors' folder opens as a whole, with the style of their demo", async () => {
  const model = await loadFromage({ model: join(golden, 'fromage-k4-postnorm'), weights: 'fp32', cacheDir, threads: 1 });
  expect(model).toMatchObject({ name: 'fromage-k4-postnorm', promptStyle: 'qa', contextWindow: 128, chatTemplate: null });
  expect(model.adapter).toMatchObject({ visualTokens: 4, retrievalDim: 16 });
  expect(model.languageModel.weights).toBe('fp32');
  const layout = model.layOutPrompt({ kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: 'What?' }] }] }, { visualTokens: 4, maxNewTokens: 20 });
  expect(layout.tokenIds[0]).toBe(2);
  expect(Array.from(model.embedTokens([model.adapter.ret.id], model.adapter))).toEqual(Array.from(model.adapter.ret.row));
  const stream = model.createTextStream();
  expect(model.encodeContinuation('hi [RET]').map((id) => stream.push(id)).join('') + stream.flush()).toBe('hi [RET]');
  expect(stream.push(model.adapter.ret.id)).toBe('');

  const { tensors } = readAdapterFolder(join(golden, 'fromage-k4-postnorm'));
  const other = join(scratch, 'other');
  saveAdapter(other, { ...tensors, logitScale: 1 }, {});
  expect(await model.openAdapter(other, 'b')).toMatchObject({ id: 'b', logitScale: 1 });
  saveAdapter(join(scratch, 'moved'), { ...tensors, retTokenId: 500 }, {});
  await expect(model.openAdapter(join(scratch, 'moved'), 'c')).rejects.toMatchObject({ code: 'TOKENIZER_RET_ID' });
  saveAdapter(join(scratch, 'layers'), { ...tensors, textLayers: [3] }, {});
  await expect(model.openAdapter(join(scratch, 'layers'), 'd')).rejects.toMatchObject({ code: 'ADAPTER_LAYERS' });
  await expect(model.openAdapter(join(golden, 'fromage-k1'), 'e')).rejects.toMatchObject({ code: 'ADAPTER_SHAPE' });
  await model.close();
});

withGolden('parts can be exchanged, and what does not fit closes what was opened', async () => {
  const k1 = join(golden, 'fromage-k1');
  const k4 = join(golden, 'fromage-k4-postnorm');
  await expect(loadFromage({ model: k1, adapter: k4, weights: 'fp32', cacheDir, threads: 1 })).rejects.toMatchObject({ code: 'ADAPTER_SHAPE' });
  await expect(loadFromage({ model: k1, lm: 'facebook/opt-none', weights: 'fp32', cacheDir })).rejects.toMatchObject({ code: 'MODEL_NOT_HERE' });
  const model = await loadFromage({ model: k1, vision: join(k4, 'clip-tiny'), weights: 'fp32', cacheDir, threads: 1 });
  expect(model.vision.visionHiddenSize).toBe(24);
  await model.close();
});

withGolden('a name inside a folder never leads out of it', async () => {
  const folder = join(scratch, 'escape');
  cpSync(join(golden, 'fromage-k1'), folder, { recursive: true });
  const file = join(folder, 'model_args.json');
  const args = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  for (const name of ['../../../etc', '/etc']) {
    writeFileSync(file, JSON.stringify({ ...args, opt_version: name }));
    await expect(findSources({ model: folder, cacheDir })).rejects.toMatchObject({ code: 'MODEL_NOT_HERE' });
  }
});

test("hub ids are looked up in Hugging Face's cache", () => {
  expect(hubCacheFolder({ HF_HUB_CACHE: '/a' })).toBe('/a');
  expect(hubCacheFolder({ HF_HOME: '/b' })).toBe(join('/b', 'hub'));
  const before = process.env.HF_HUB_CACHE;
  process.env.HF_HUB_CACHE = join(scratch, 'hub');
  try {
    expect(findInHubCache('facebook/opt-tiny', 'model')).toBeNull();
    const snapshot = join(scratch, 'hub/models--facebook--opt-tiny/snapshots/abc');
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(scratch, 'hub/models--facebook--opt-tiny/refs'));
    writeFileSync(join(scratch, 'hub/models--facebook--opt-tiny/refs/main'), 'abc\n');
    expect(findInHubCache('facebook/opt-tiny', 'model')).toBe(snapshot);
    writeFileSync(join(scratch, 'hub/models--facebook--opt-tiny/refs/main'), '../../../..');
    expect(findInHubCache('facebook/opt-tiny', 'model')).toBeNull();
  } finally {
    if (before === undefined) delete process.env.HF_HUB_CACHE;
    else process.env.HF_HUB_CACHE = before;
  }
});
