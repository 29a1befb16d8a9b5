// `fromage ingest`, `search` and `index` one after the other, each in a process of its own, on a tiny model.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { drawn } from '../retrieval/world.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';

jest.setTimeout(180_000);

const bin = resolve(import.meta.dirname, '../../bin/fromage.mjs');
let root: string;
let model: string;
let photos: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'fromage-cli-gallery-'));
  model = writeTinyFromage(join(root, 'model'), 3).folder;
  photos = join(root, 'photos');
  mkdirSync(photos);
  for (let i = 0; i < 24; i++) writeFileSync(join(photos, `${i}.png`), await drawn(40 + i));
  writeFileSync(join(photos, 'broken.png'), 'no picture');
  writeFileSync(join(root, 'captions.tsv'), `caption\timage\n${Array.from({ length: 24 }, (_, i) => `drawing ${i}\t${i}.png`).join('\n')}\n`);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function fromage(...args: readonly string[]): Promise<{ code: number | null; out: string; json: Record<string, unknown> }> {
  const { QDRANT_URL: _url, ...environment } = process.env;
  const child = spawn(process.execPath, [bin, ...args, '--model', model, '--json'], { env: { ...environment, FROMAGE_DATA_DIR: join(root, 'data'), FROMAGE_THREADS: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  return new Promise((done) => child.on('close', (code) => done({ code, out: out + errors, json: out.startsWith('{') ? (JSON.parse(out) as Record<string, unknown>) : {} })));
}

test('pictures go in, are found by picture, and the index is sound', async () => {
  const report = join(root, 'skipped.jsonl');
  const taken = await fromage('ingest', photos, '--captions', join(root, 'captions.tsv'), '--tag', 'drawn', '--report', report);
  expect(taken).toMatchObject({ code: 0, json: { added: 24, known: 0, denied: 0, resumed_at: 0 } });
  expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ name: 'broken.png', reason: expect.stringMatching(/^VISION_/) });

  const found = await fromage('search', '--image', join(photos, '7.png'), '--limit', '2', '--tag', 'drawn', '--no-starter');
  const { pictures } = found.json as { pictures: { id: string; alt: string; score: number }[] };
  expect(pictures[0]).toMatchObject({ alt: 'drawing 7', score: expect.closeTo(1, 3) });
  const second = await fromage('search', '--like', pictures[0]!.id, '--limit', '1', '--page', '2', '--no-starter');
  expect((second.json as { pictures: { id: string }[] }).pictures.map(({ id }) => id)).toEqual([pictures[1]!.id]);

  expect(await fromage('index', 'verify')).toMatchObject({ code: 0, json: { ok: true, index: 'embedded', pictures: 24, damaged: [], without_vector: [], wrong_vector: [] } });
  const calibrated = await fromage('index', 'calibrate', '--coverage', '0.5');
  expect(calibrated.json).toMatchObject({ queries: 24 });
  expect((await fromage('index', 'stats')).json).toMatchObject({ pictures: 24, vectors: 24, threshold: calibrated.json['threshold'], calibrated_on: 24 });
});

test('what cannot be asked is said in words', async () => {
  expect(await fromage('search', '--no-starter')).toMatchObject({ code: 1, out: expect.stringContaining('nothing to search for') });
  expect(await fromage('ingest', join(root, 'nothing'))).toMatchObject({ code: 1, out: expect.stringContaining('RETRIEVAL_SOURCE') });
});
