// `fromage retrain` and `fromage adapters` beside a program that runs: they write into the store, and it follows.
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Learning } from '../../src/learning/index.ts';
import { openWorld, plantPreference, type World } from './world.ts';

const program = resolve(import.meta.dirname, '../../bin/fromage.mjs');
let world: World;
let learning: Learning;
beforeAll(async () => {
  world = await openWorld();
  await plantPreference(world);
  learning = await world.learning();
}, 240_000);
afterAll(async () => {
  await world.close();
  world.cleanUp();
});

/** @returns the exit code with all that was written */
function fromage(...args: string[]): Promise<{ readonly code: number; readonly said: string }> {
  const env = { PATH: process.env.PATH, HOME: world.folder, FROMAGE_DATA_DIR: join(world.folder, 'data') };
  return new Promise((done) => {
    execFile(process.execPath, [program, ...args], { cwd: world.folder, env }, (error, out, problem) => done({ code: error ? Number(error.code) : 0, said: out + problem }));
  });
}

async function serves(id: string): Promise<void> {
  for (let tries = 0; tries < 300 && (await learning.adapterFor(null)) !== id; tries++) await pause(50);
  expect(await learning.adapterFor(null)).toBe(id);
}

test('a run is asked for, followed to its verdict, told of, and rolled back', async () => {
  const base = (await learning.adapterFor(null))!;
  expect((await fromage('retrain')).said).toContain('there was no training yet');
  const run = await fromage('retrain', 'start', '--reason', 'people miss their cat');
  expect(run).toMatchObject({ code: 0, said: expect.stringMatching(/running \d+ % {2}60 new examples {2}“people miss their cat” Step \d+ of 610[^]*done 100 %.*serves from now on/) });
  const newest = (await learning.adapters.list())[0]!.id;
  await serves(newest);
  expect((await fromage('adapters', 'show', newest)).said).toMatch(new RegExp(`^${newest} \\(serving\\)[^]*snapshot[^]*Approved answers`));
  expect(await fromage('retrain', 'start')).toMatchObject({ code: 1, said: expect.stringMatching(/too little.*0 new examples/) });
  expect((await fromage('retrain', 'rollback', '--reason', 'worse')).said).toContain(`${base} serves again`);
  await serves(base);
  expect((await fromage('retrain', 'promote', newest)).said).toContain(`${newest} serves from now on`);
  await serves(newest);
}, 240_000);

test('what cannot be is refused in words', async () => {
  expect((await fromage('retrain', 'cancel')).said).toContain('no run is under way');
  expect(await fromage('retrain', 'promote', 'a-nothing')).toMatchObject({ code: 1, said: expect.stringContaining('there is no adapter version') });
  expect((await fromage('adapters', 'pin', 'telegram:999', 'none')).said).toContain('nothing was ever said');
}, 240_000);
