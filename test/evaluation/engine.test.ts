// Evaluation on real, tiny models: what is kept is not computed again, what was stopped goes on, and
// candidates that share their dialogue score as they do alone.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import type { Engine } from '../../src/engine/types.ts';
import { loadCaptions } from '../../src/evaluation/data/captions.ts';
import { openVectorCache } from '../../src/evaluation/data/vector-cache.ts';
import { readVisdial } from '../../src/evaluation/data/visdial.ts';
import { evaluateCaptioning, evaluateRetrieval, evaluateVisdial, runEvaluation } from '../../src/evaluation/index.ts';
import { createSafeFetcher } from '../../src/retrieval/index.ts';
import { tinyEngine, tinyModel } from '../engine/tiny-engine.ts';
import { drawColours } from './colour-engine.ts';

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
const folder = mkdtempSync(join(tmpdir(), 'fromage-evaluation-'));
const squares = join(folder, 'squares');
const data = { data: fixture('captions.tsv'), images: squares };
const llama = tinyModel(11);
const opt = tinyModel(12, { family: 'opt' });
let engine: Engine;

beforeAll(async () => {
  await drawColours(squares, { 'red.png': 'red', 'green.png': 'green', 'blue.png': 'blue', 'yellow.png': 'yellow' });
  engine = await tinyEngine(llama);
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The engine with a count of what it is asked. */
function counted(base: Engine): { readonly engine: Engine; readonly asked: Record<string, number> } {
  const asked: Record<string, number> = {};
  return {
    asked,
    engine: new Proxy(base, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const [first] = args;
          asked[String(name)] = (asked[String(name)] ?? 0) + (Array.isArray(first) ? first.length : 1);
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    }),
  };
}

describe('what is kept', () => {
  test('a second run embeds nothing and gives the same figures; another adapter embeds texts anew', async () => {
    const options = { cacheDir: join(folder, 'cache-1') };
    const run = async (more = {}) => {
      const { engine: counting, asked } = counted(engine);
      const { pictures } = await loadCaptions(counting, data, { ...options, ...more });
      return { ...(await evaluateRetrieval(counting, pictures, { ...options, ...more })), asked };
    };
    const first = await run();
    // Five captions, two of them alike.
    expect(first.asked).toMatchObject({ encodeImages: 4, embedPrompts: 4 });
    const second = await run();
    expect(second.asked['embedPrompts']).toBeUndefined();
    expect(second.asked['encodeImages'] ?? 0).toBe(0);
    expect(second.figures).toEqual(first.figures);
    await engine.loadAdapter(llama.adapters[1], 'other');
    const other = await run({ adapter: 'other' });
    expect(other.asked).toMatchObject({ embedPrompts: 4 });
    const nothing = await evaluateRetrieval(engine, (await loadCaptions(engine, data, {})).pictures, {});
    expect(nothing.figures).toEqual(first.figures);
  });

  test('a file that was cut off or damaged loses what is after the damage, not more', () => {
    const file = join(folder, 'some.vectors');
    const open = () => openVectorCache(file, 3);
    let cache = open();
    for (const name of ['a', 'b', 'c']) cache.set(name, Float32Array.of(1, 2, name.charCodeAt(0)));
    cache.close();
    const bytes = readFileSync(file);
    truncateSync(file, bytes.length - 5);
    cache = open();
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([Float32Array.of(1, 2, 97), Float32Array.of(1, 2, 98), undefined]);
    cache.set('c', Float32Array.of(7, 8, 9));
    cache.close();
    const changed = readFileSync(file);
    changed[60]! ^= 1;
    writeFileSync(file, changed);
    cache = open();
    expect([cache.get('a'), cache.get('b')]).toEqual([Float32Array.of(1, 2, 97), undefined]);
    cache.close();
  });

  test('a stopped run goes on with --resume and begins anew without', async () => {
    const options = { cacheDir: join(folder, 'cache-2') };
    const pictures = Array.from({ length: 20 }, (_, i) => ({ id: String(i), image: { pooled: Float32Array.from({ length: 12 }, (_, j) => Math.cos(i * j + i)) }, captions: ['a square'] }));
    const stop = new AbortController();
    const onProgress = ({ stage, done }: { stage: string; done: number }) => (stage === 'describing the pictures' && done === 9 ? stop.abort() : undefined);
    await expect(evaluateCaptioning(engine, pictures, { ...options, signal: stop.signal, onProgress, maxNewTokens: 4 })).rejects.toMatchObject({ name: 'AbortError' });
    const resumed = counted(engine);
    const { captions } = await evaluateCaptioning(resumed.engine, pictures, { ...options, resume: true, maxNewTokens: 4 });
    expect(resumed.asked['generate']).toBeGreaterThan(0);
    expect(resumed.asked['generate']).toBeLessThanOrEqual(11);
    const again = counted(engine);
    expect((await evaluateCaptioning(again.engine, pictures, { ...options, maxNewTokens: 4 })).captions).toEqual(captions);
    expect(again.asked['generate']).toBe(20);
  });
});

describe('places of pictures', () => {
  test('an archive and a list of addresses give what the folder gives', async () => {
    const archive = pack();
    const names = readdirSync(squares);
    for (const name of names) archive.entry({ name: `./${name}` }, readFileSync(join(squares, name)));
    archive.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk as Buffer);
    writeFileSync(join(folder, 'squares.tar'), Buffer.concat(chunks));
    const fromFolder = await loadCaptions(engine, data, {});
    const fromArchive = await loadCaptions(engine, { ...data, images: join(folder, 'squares.tar') }, {});
    expect(fromArchive.pictures).toEqual(fromFolder.pictures);

    let requests = 0;
    const server = createServer((request, response) => {
      requests++;
      const name = (request.url ?? '').slice(1);
      if (!names.includes(name) || name === 'yellow.png') response.writeHead(404).end();
      else response.end(readFileSync(join(squares, name)));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const fetcher = createSafeFetcher({ allowHosts: [host], pauseMs: 0 });
    try {
      writeFileSync(join(folder, 'places.tsv'), `image\turl\n${names.map((name) => `${name}\thttp://${host}/${name}`).join('\n')}\n`);
      const request = { ...data, images: join(folder, 'places.tsv'), sampleCount: 0, fetchPicture: (url: string) => fetcher.fetch(url) };
      const listed = await loadCaptions(engine, request, { cacheDir: join(folder, 'cache-3') });
      expect(listed.missing).toEqual(['yellow.png']);
      expect(listed.pictures).toEqual(fromFolder.pictures.slice(0, 3));
      const before = requests;
      await loadCaptions(engine, request, { cacheDir: join(folder, 'cache-3') });
      // Known by their address; the missing one is asked for again.
      expect(requests - before).toBe(1);
    } finally {
      await fetcher.close();
      server.close();
    }
  });
});

test.each([
  ['chat', llama],
  ['the paper’s form', opt],
])('candidates that share their dialogue score as they do alone (%s)', async (_, model) => {
  const own = model === llama ? engine : await tinyEngine(model);
  try {
    const dialogues = await readVisdial(fixture('visdial_1.0_val.json'), undefined);
    const pooled = new Map(dialogues.map(({ imageId }) => [imageId, Float32Array.from({ length: 12 }, (_, i) => Math.sin(imageId * (i + 1)))] as const));
    const { figures } = await evaluateVisdial(own, dialogues, pooled, { measureSharing: true });
    expect(figures.sharing?.largest_difference).toBeLessThan(1e-4);
    expect(figures.n_questions).toBe(4);
  } finally {
    if (own !== engine) await own.close();
  }
});

/** The authors' own layout: a folder as the paper's presets have it, with tiny weights. */
const golden = (name: string) => ({ name, folder: resolve(import.meta.dirname, '../../../shared/golden', name) });

describe('the paper’s kind of model', () => {
  const photos = join(folder, 'photos');
  beforeAll(() => drawColours(photos, { '101.png': 'red', '102.png': 'green', '103.png': 'blue', '104.png': 'yellow', '105.png': 'cyan', '106.png': 'magenta', '107.png': 'white', '11.png': 'red', '12.png': 'blue' }));

  const everyTask = async (own: Engine) => {
    const stories = fixture('vist.story-in-sequence.json');
    expect((await runEvaluation(own, 'retrieval', data, 'test')).result).toMatchObject({ n_images: 4, n_captions: 5, text_to_image: { r5: 100 } });
    expect((await runEvaluation(own, 'vist', { data: stories, images: photos }, 'test')).result).toMatchObject({ n_stories: 3, contexts: { '5_captions_4_images': { unseen: { r10: 100 } } } });
    const dialogues = { data: fixture('visdial_1.0_val.json'), dense: fixture('visdial_1.0_val_dense_annotations.json'), images: photos };
    const { result } = await runEvaluation(own, 'visdial', dialogues, 'test');
    expect(result).toMatchObject({ n_dialogues: 2, n_dense: 2, image_and_text_to_text: { r5: 100 } });
    expect((result['sharing'] as { largest_difference: number }).largest_difference).toBeLessThan(1e-4);
    expect((await runEvaluation(own, 'captioning', data, 'test')).result).toMatchObject({ n_images: 4 });
    expect((await runEvaluation(own, 'dialogue', { limit: 4 }, 'test')).result).toMatchObject({ n: 4 });
    expect((await runEvaluation(own, 'prompting', { data: stories, images: photos, samples: 10, limit: 3 }, 'test')).result).toMatchObject({ captions: { '5_captions': { r10: 100 } }, images: { '5_captions_4_images': { r10: 100 } } });
  };

  test('runs every task', async () => {
    const own = await tinyEngine(opt);
    try {
      await everyTask(own);
    } finally {
      await own.close();
    }
  });

  for (const { name, folder: model } of [golden('fromage-k1'), golden('fromage-k4-postnorm')]) {
    // The golden folders lie outside the repository.
    (existsSync(model) ? test : test.skip)(`runs every task on ${name}, as the presets of the paper would`, async () => {
      const own = await tinyEngine({ ...opt, load: { ...opt.load, model } });
      try {
        await everyTask(own);
      } finally {
        await own.close();
      }
    });
  }
});

/** A whole CLIP as the presets of the paper have it: text tower and tokenizer beside the vision tower. */
const clipModel = resolve(import.meta.dirname, '../model/clip-tiny');

test('the command prints one JSON object last and writes a page', () => {
  const dataDir = join(folder, 'data');
  const args = ['evaluate', 'retrieval', '--data', data.data, '--images', squares, '--model', llama.folder, '--vision', clipModel, '--weights', 'fp32', '--threads', '1', '--compare', llama.adapters[1], '--json'];
  const { stdout, stderr, status } = spawnSync(process.execPath, [resolve(import.meta.dirname, '../../bin/fromage.mjs'), ...args], { encoding: 'utf8', env: { ...process.env, FROMAGE_DATA_DIR: dataDir } });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const lines = stdout.trim().split('\n');
  expect(lines.length).toBe(1);
  const result = JSON.parse(lines[0]!) as Record<string, unknown>;
  expect(result).toMatchObject({ task: 'retrieval', n_images: 4, n_captions: 5, seed: 1, baselines: { clip: { text_to_image: { r5: 100 } }, clip_absent: null }, compared_adapter: basename(llama.adapters[1]), comparison: { text_to_image: { r1: { first: expect.any(Number), second: expect.any(Number), plus_minus: expect.any(Number) } } } });
  expect(readFileSync(String(result['report']), 'utf8')).toContain('<h1>Evaluation: retrieval</h1>');
  const wrong = spawnSync(process.execPath, [resolve(import.meta.dirname, '../../bin/fromage.mjs'), 'evaluate', 'retrieval', '--data', fixture('none.tsv'), '--model', llama.folder], { encoding: 'utf8', env: { ...process.env, FROMAGE_DATA_DIR: dataDir } });
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toContain('FORMAT_FILE');
});
