// The command `models` in processes of their own, as a person runs them, against a hub on this machine.
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { runGolden } from '../../src/evaluation/index.ts';
import { loadFromage } from '../../src/model/index.ts';
import { type FakeHub, startFakeHub } from '../fakes/hub/hub.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';

// Each case starts several programs; beside other work that takes a while.
jest.setTimeout(180_000);

const bin = resolve(import.meta.dirname, '../../bin/fromage.mjs');
const golden = resolve(import.meta.dirname, '../../../shared/golden/fromage-k1');
const cacheOfThisProcess = process.env.HF_HOME;

let hub: FakeHub;
let root: string;
let tiny: string;

beforeAll(async () => {
  hub = await startFakeHub();
  root = mkdtempSync(join(tmpdir(), 'fromage-pull-'));
  tiny = writeTinyFromage(join(root, 'tiny'), 5, { family: 'opt' }).folder;
  process.env.HF_HOME = join(root, 'hf');
  publish('facebook/opt-tiny-lm', join(tiny, 'lm'), 'other');
  publish('tiny/vision', join(tiny, 'vision'), 'mit');
  publish('tiny/adapter', join(tiny, 'adapter'), 'apache-2.0');
});

afterAll(async () => {
  if (cacheOfThisProcess === undefined) delete process.env.HF_HOME;
  else process.env.HF_HOME = cacheOfThisProcess;
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

function publish(id: string, folder: string, licence: string | null): void {
  const files = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  hub.repositories.set(id, { files: new Map(files.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))])), licence });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [bin, 'models', ...args], { env: { ...process.env, HF_ENDPOINT: hub.endpoint, FROMAGE_DATA_DIR: join(root, 'data'), NO_COLOR: '1', ...environment }, timeout: 50_000, killSignal: 'SIGKILL' });
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (err += data.toString()));
  return { child, ended: new Promise((done) => child.on('close', (code) => done({ code, out, err }))) };
}

const run = (args: readonly string[], environment?: Readonly<Record<string, string>>) => start(args, environment).ended;

describe('fromage models pull', () => {
  test('tells size, memory and licence first, and fetches no weights before a closed licence is accepted', async () => {
    const refused = await run(['pull', 'facebook/opt-tiny-lm']);
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(/facebook\/opt-tiny-lm.*OPT-175B licence/);
    expect(refused.out).toMatch(/to fetch .* free\)/);
    expect(refused.out).toMatch(/in memory +about .* this machine has/);
    expect(refused.err).toMatch(/MODEL_LICENCE[\s\S]*--accept-licenses/);
    expect(hub.seen.filter(({ path }) => path.includes('/resolve/') && path.endsWith('.safetensors'))).toEqual([]);
  });

  test('fetches models that then load and answer as the folders do that were published', async () => {
    for (const id of ['facebook/opt-tiny-lm', 'tiny/vision', 'tiny/adapter']) {
      const { code, err } = await run(['pull', id, '--accept-licenses']);
      expect({ code, err: err.replace(/^.*MB.*$/gm, '').trim() }).toEqual({ code: 0, err: '' });
    }
    const common = { weights: 'fp32', cacheDir: join(root, 'cache'), threads: 1 } as const;
    const here = await loadFromage({ model: tiny, ...common });
    const pulled = await loadFromage({ model: 'tiny/adapter', lm: 'facebook/opt-tiny-lm', vision: 'tiny/vision', ...common });
    const ask = async (model: typeof here) => {
      const ids = model.encodeContinuation('What is this?');
      const { logits } = await model.languageModel.step(model.languageModel.createCache(1), [{ slot: 0, embeds: model.embedTokens(ids, model.adapter), select: [ids.length - 1] }]);
      return [...logits];
    };
    expect(await ask(pulled)).toEqual(await ask(here));
    await here.close();
    await pulled.close();
    const listed = await run(['list', '--json']);
    expect(JSON.parse(listed.out).cache.models).toEqual([
      { id: 'facebook/opt-tiny-lm', bytes: expect.any(Number), complete: true },
      { id: 'tiny/adapter', bytes: expect.any(Number), complete: true },
      { id: 'tiny/vision', bytes: expect.any(Number), complete: true },
    ]);
    const again = await run(['pull', 'tiny/vision'], { FROMAGE_OFFLINE: '1', HF_ENDPOINT: 'http://127.0.0.1:9' });
    expect(again).toMatchObject({ code: 0 });
    expect((await run(['pull', 'tiny/other'], { HF_HUB_OFFLINE: '1' })).err).toMatch(/HUB_OFFLINE/);
  });

  test('keeps what came when stopped by Ctrl-C, says how to go on, and goes on', async () => {
    const big = Uint8Array.from({ length: 3_000_000 }, (_, i) => i & 255);
    hub.repositories.set('tiny/big', { files: new Map([...(hub.repositories.get('tiny/vision')?.files ?? []), ['model.safetensors', big]]), licence: 'mit' });
    hub.fault = ({ path, range }) => (path.startsWith('/tiny/big/') && path.endsWith('.safetensors') && range !== 'bytes=0-0' ? { kind: 'stall', after: 1_000_000 } : null);
    const { child, ended } = start(['pull', 'tiny/big']);
    while (!hub.seen.some(({ path, range }) => path.startsWith('/tiny/big/') && path.endsWith('.safetensors') && range !== 'bytes=0-0')) await new Promise((later) => setTimeout(later, 20));
    await new Promise((later) => setTimeout(later, 300));
    child.kill('SIGINT');
    const stopped = await ended;
    expect(stopped.code).toBe(130);
    expect(stopped.err).toMatch(/models pull tiny\/big" goes on from there/);
    hub.fault = () => null;
    expect(await run(['pull', 'tiny/big'])).toMatchObject({ code: 0 });
    expect(hub.seen.at(-1)).toMatchObject({ path: expect.stringMatching(/model\.safetensors$/), range: 'bytes=1000000-2999999' });
  });

  test('refuses what will not fit into memory, and families without a graph', async () => {
    const vision = hub.repositories.get('tiny/vision')?.files ?? new Map<string, Uint8Array>();
    const huge = { model_type: 'opt', hidden_size: 65536, ffn_dim: 262144, num_hidden_layers: 96, num_attention_heads: 512, vocab_size: 50272, word_embed_proj_dim: 65536 };
    const as = (config: object) => ({ files: new Map([...vision, ['config.json', new TextEncoder().encode(JSON.stringify(config))]]), licence: 'mit' });
    hub.repositories.set('tiny/huge', as(huge));
    hub.repositories.set('tiny/foreign', as({ model_type: 'mamba' }));
    expect((await run(['pull', 'tiny/huge'])).err).toMatch(/HUB_DISK|MODEL_MEMORY/);
    expect((await run(['pull', 'tiny/foreign'])).err).toMatch(/MODEL_UNSUPPORTED/);
  });
});

(existsSync(golden) ? test : test.skip)('golden numbers hold with models from the cache (needs ../shared/golden)', async () => {
  publish('facebook/opt-tiny', join(golden, 'facebook/opt-tiny'), 'mit');
  publish('clip-tiny', join(golden, 'clip-tiny'), 'mit');
  for (const id of ['facebook/opt-tiny', 'clip-tiny']) expect(await run(['pull', id, '--accept-licenses'])).toMatchObject({ code: 0 });
  const folder = join(root, 'golden');
  cpSync(golden, folder, { recursive: true, filter: (path) => !/opt-tiny|clip-tiny/.test(path.slice(golden.length)) });
  const { ok, parts } = await runGolden(folder, { cacheDir: join(root, 'golden-cache'), threads: 1 });
  expect({ ok, parts: Object.keys(parts).length > 5 }).toEqual({ ok: true, parts: true });
});
