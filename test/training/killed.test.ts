// kill −9 at random steps: the resumed run ends with the very numbers of one that was left alone.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type TrainInput, train } from '../../src/training/index.ts';
import { createRandom } from '../../src/training/random.ts';
import { writeTinyRun } from './tiny-run.ts';

const kills = process.env['FROMAGE_TEST_LONG'] === '1' ? 10 : 2;

/** Starts the run and kills it once `steps` steps were reported. @returns whether it had ended before */
function runAndKill(config: TrainInput, steps: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'run-child.ts'), JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let seen = 0;
  let ended = false;
  return new Promise((done) => {
    child.stdout.on('data', (chunk: Buffer) => {
      for (const line of String(chunk).split('\n')) {
        if (line.startsWith('step') && ++seen === steps) child.kill('SIGKILL');
        if (line.startsWith('end finished')) ended = true;
      }
    });
    child.on('exit', () => done(ended));
  });
}

test(`a run killed at ${kills} random steps ends bit-equal to one that was not`, async () => {
  const { folder, config } = await writeTinyRun('llama', { steps: 30 * kills, retrievalMaps: { steps: 10, batchSize: 12, warmupSteps: 1 }, validateEvery: 10, checkpointEvery: 3 });
  const whole = await train({ ...config, run: join(folder, 'whole') });
  const random = createRandom(7, 'kills');
  for (let i = 0; i < kills; i++) expect(await runAndKill({ ...config, run: join(folder, 'killed') }, 4 + random.integer(5))).toBe(false);
  expect(await runAndKill({ ...config, run: join(folder, 'killed') }, Number.POSITIVE_INFINITY)).toBe(true);
  const adapter = (run: string) => createHash('sha256').update(readFileSync(join(folder, run, 'adapter', 'adapter.safetensors'))).digest('hex');
  expect(adapter('killed')).toBe(adapter('whole'));
  expect(whole.steps).toBe(30 * kills + 10);
});
