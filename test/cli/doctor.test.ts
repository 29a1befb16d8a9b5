// `fromage doctor` in a process of its own, on a tiny model.
import { spawn } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { writeTinyFromage } from '../tiny/fromage.ts';

// Each case starts several programs; beside other work that takes a while.
jest.setTimeout(180_000);

const bin = resolve(import.meta.dirname, '../../bin/fromage.mjs');

let root: string;
let model: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'fromage-doctor-'));
  model = writeTinyFromage(join(root, 'model'), 3).folder;
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Report {
  readonly code: number | null;
  readonly text: string;
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly state: string; readonly found: string; readonly todo?: string }[];
}

function doctor(environment: Readonly<Record<string, string>> = {}, folder = model): Promise<Report> {
  const child = spawn(process.execPath, [bin, 'doctor', '--quick', '--json', '--model', folder], { env: { ...process.env, PORT: '0', FROMAGE_DATA_DIR: join(root, 'data'), ...environment }, timeout: 50_000, killSignal: 'SIGKILL' });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  return new Promise((done) => child.on('close', (code) => done({ code, text, ...(JSON.parse(text) as Pick<Report, 'ok' | 'checks'>) })));
}

function stateOf({ checks }: Report, name: string) {
  return checks.find((check) => check.name === name);
}

test('a machine in order is found so, and no secret is shown', async () => {
  const report = await doctor({ DISCORD_TOKEN: 'very-secret-token', FROMAGE_API_KEY: 'another-secret-of-16' });
  expect(report.checks.filter(({ state }) => state === 'fail')).toEqual([]);
  expect(report).toMatchObject({ code: 0, ok: true });
  for (const name of ['node', 'packages', 'onnxruntime on cpu', 'pictures (sharp)', 'data folder', 'database', 'port', 'model files', 'memory', 'discord']) expect(stateOf(report, name)).toMatchObject({ state: 'ok' });
  expect(stateOf(report, 'configuration')?.found).toContain('DISCORD_TOKEN=(set)');
  expect(report.text).not.toMatch(/very-secret|another-secret/);
});

test('what is wrong is named with what to do, and the exit code says so', async () => {
  const taken = await new Promise<Server>((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => done(server));
  });
  const { port } = taken.address() as { port: number };
  try {
    const report = await doctor({ PORT: String(port), FROMAGE_DATA_DIR: join(model, 'model.json', 'x'), QDRANT_URL: 'http://127.0.0.1:9', FROMAGE_ADAPTER: join(root, 'none') });
    expect(report).toMatchObject({ code: 1, ok: false });
    for (const name of ['port', 'data folder', 'database', 'qdrant', 'model files']) {
      expect(stateOf(report, name)).toMatchObject({ state: 'fail' });
      expect(stateOf(report, name)?.todo).toBeTruthy();
    }
  } finally {
    taken.close();
  }
});

test('a wrong configuration is reported and the rest is looked at all the same', async () => {
  const report = await doctor({ PORT: 'many', FROMAGE_MODLE: 'x' });
  expect(report.code).toBe(1);
  expect(stateOf(report, 'configuration')?.found).toMatch(/PORT[\s\S]*FROMAGE_MODEL\?|FROMAGE_MODEL\?[\s\S]*PORT/);
  expect(stateOf(report, 'onnxruntime on cpu')).toMatchObject({ state: 'ok' });
});

test('a changed model file is found by its checksum', async () => {
  const copy = join(root, 'starter');
  cpSync(resolve(import.meta.dirname, '../../models/starter'), copy, { recursive: true });
  appendFileSync(join(copy, 'adapter', 'model_args.json'), ' ');
  expect(stateOf(await doctor({}, copy), 'model files')).toMatchObject({ state: 'fail', found: expect.stringContaining('MODEL_CHECKSUM') });
});
