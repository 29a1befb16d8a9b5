// A run under way: in its own process at low priority, cancelled cleanly, going on when that process is
// killed, and stopped when a consent it needs is taken back.
import { existsSync, readdirSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JsonObject } from '../../src/chat/contracts.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { Learning } from '../../src/learning/index.ts';
import { LatencyProbe } from '../../src/learning/job/latency.ts';
import { ended, openWorld, plantPreference, quickly, type World } from './world.ts';

let world: World;
let learning: Learning;
let base: string;
beforeAll(async () => {
  world = await openWorld();
  await plantPreference(world);
  // Long enough to be met while it trains.
  learning = await world.learning({ ...quickly, training: { ...quickly.training, retrievalMaps: { ...(quickly.training?.['retrievalMaps'] as object), steps: 4_000 } } });
  base = (await learning.adapters.list())[0]!.id;
}, 240_000);
afterAll(async () => {
  await world.close();
  world.cleanUp();
});

/** Starts a run. @returns the process that trains, once it has made steps, and the run's id */
async function training(): Promise<{ readonly pid: number; readonly runId: string }> {
  const started = await learning.jobs.start({ by: '', reason: 'x' });
  if (!started.started) throw new Error(started.why);
  for (let tries = 0; tries < 1_200; tries++) {
    const [run] = (await learning.overview.facts()).runs;
    const pid = learning.trainerPid;
    if (run?.runId && pid !== undefined && (await learning.overview.curve(run.runId)).length > 3) return { pid, runId: run.runId };
    await pause(50);
  }
  throw new Error(`no training: ${(await learning.jobs.status())?.summary}`);
}

/** It says its last word first. */
async function gone(pid: number): Promise<boolean> {
  try {
    for (let tries = 0; tries < 600; tries++) {
      process.kill(pid, 0);
      await pause(50);
    }
    return false;
  } catch {
    return true;
  }
}

/** Only the model's own adapter is there, it serves, and nothing of the run is left on the disk. */
async function expectNothingLeft(runId: string): Promise<void> {
  expect((await learning.adapters.list()).map(({ id, serving }) => [id, serving])).toEqual([[base, true]]);
  expect(readdirSync(join(world.folder, 'data/adapters'))).toEqual([base]);
  expect(existsSync(join(world.folder, 'data/runs', runId))).toBe(false);
  expect((await world.engine.info()).adapters.map(({ id }) => id)).toEqual([base]);
}

test('it trains in a process of its own at the lowest priority, and a cancel leaves nothing behind', async () => {
  const { pid, runId } = await training();
  expect(pid).not.toBe(process.pid);
  expect(getPriority(pid)).toBe(constants.priority.PRIORITY_LOW);
  expect(await learning.jobs.cancel('')).toBe(true);
  expect(await ended(learning)).toMatchObject({ state: 'cancelled', summary: expect.stringContaining('Cancelled.') });
  expect(await gone(pid)).toBe(true);
  await expectNothingLeft(runId);
  expect(await learning.jobs.cancel('')).toBe(false);
}, 240_000);

test('a consent that is taken back while it trains ends it, in words, and what it made is gone', async () => {
  const { runId } = await training();
  const { user } = await world.person(12, []);
  await world.store.consents.revoke(user.id);
  expect(await ended(learning)).toMatchObject({ state: 'failed', summary: expect.stringContaining('has withdrawn consent or was forgotten') });
  await expectNothingLeft(runId);
}, 240_000);

test('when the process that trains is killed another goes on from its checkpoint', async () => {
  await world.store.settings.set('global', 'learning', { training: quickly.training as JsonObject });
  const { pid, runId } = await training();
  process.kill(pid, 'SIGKILL');
  expect(await ended(learning, 500_000)).toMatchObject({ state: 'done', summary: expect.stringContaining('serves from now on') });
  const [newest] = await learning.adapters.list();
  expect(newest).toMatchObject({ serving: true, parent: base });
  // The one who took the consent back is in no row of it.
  const [set] = await world.store.trainSets.list();
  expect(JSON.stringify(await world.store.trainSets.rows(set!.id))).not.toContain((await world.person(12, [])).user.id);
  expect(existsSync(join(world.folder, 'data/runs', runId))).toBe(false);
}, 600_000);

test('how much a run is felt is the time to a first word during it over that before', async () => {
  let took = 50;
  const generate = async function* () {
    await pause(took);
    yield { type: 'end' };
  };
  const probe = new LatencyProbe({ generate: generate as unknown as Engine['generate'] });
  await probe.rest();
  took = 400;
  probe.begin();
  await pause(4_000);
  const ratio = await probe.end();
  expect(ratio).toBeGreaterThan(2);
  expect(ratio).toBeLessThan(20);
  expect(await new LatencyProbe({ generate: generate as unknown as Engine['generate'] }).end()).toBeNull();
});
