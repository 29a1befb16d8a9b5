// kill −9 while a run trains and while versions are exchanged: what serves afterwards is one whole version.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { createAdapter, readAdapterFolder } from '../../src/model/index.ts';
import { openStore } from '../../src/store/index.ts';
import { createRandom } from '../../src/training/index.ts';
import { openWorld, plantPreference } from './world.ts';

/** Runs the program; kills it `afterMs` after it was going. @returns the last line of what it said */
function runLearner(folder: string, what: 'train' | 'promote', afterMs: number | null): Promise<string> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'processes/learner.ts'), folder, what], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  return new Promise((done) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += String(chunk);
      if (afterMs !== null && said.includes('going')) setTimeout(() => child.kill('SIGKILL'), afterMs);
    });
    child.on('exit', () => done(said.trim().split('\n').at(-1) ?? ''));
  });
}

/** The version that the store says serves, whose files must be whole. */
async function servingWhole(folder: string): Promise<string> {
  const store = await openStore({ dataDir: join(folder, 'data') });
  try {
    const serving = await store.adapters.serving();
    if (serving === null) throw new Error('nothing serves');
    const { tensors } = readAdapterFolder(join(folder, 'data', serving.folder));
    expect(createAdapter('', tensors).hash).toBe(serving.hash);
    return serving.id;
  } finally {
    await store.close();
  }
}

export async function crashTrials(kills: number): Promise<void> {
  const world = await openWorld();
  await plantPreference(world);
  const { folder } = world;
  const { cleanUp } = world;
  await world.close();
  const random = createRandom(9, 'kills');
  try {
    let last = '';
    const served = new Set<string>();
    for (let i = 0; i < kills && !last.startsWith('ended'); i++) {
      last = await runLearner(folder, 'train', 200 + random.integer(2500));
      served.add(await servingWhole(folder));
    }
    if (!last.startsWith('ended')) last = await runLearner(folder, 'train', null);
    expect(last).toContain('ended done');
    const candidate = await servingWhole(folder);
    expect(candidate.startsWith('a-')).toBe(true);
    // Until then the model's own adapter served, and nothing else.
    for (const id of served) expect(id === candidate || id.startsWith('base-')).toBe(true);
    for (let i = 0; i < kills; i++) {
      await runLearner(folder, 'promote', random.integer(400));
      const id = await servingWhole(folder);
      expect(id === candidate || id.startsWith('base-')).toBe(true);
    }
  } finally {
    cleanUp();
  }
}
