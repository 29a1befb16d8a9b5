// Training against the authors' own numbers: losses, gradients, norms and parameters of four steps.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { compareTraining } from '../../src/training/index.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden');
// The reference numbers are not part of the repository.
const testWithGolden = existsSync(golden) ? test : test.skip;

function expectedOf(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Record<string, unknown>;
}

describe('training equals the reference', () => {
  for (const name of ['fromage-k1', 'fromage-k4-postnorm', 'llama']) {
    testWithGolden(name, async () => {
      const folder = join(golden, name);
      const part = await compareTraining(folder, expectedOf(folder), { threads: 1 });
      expect(part).toMatchObject({ ok: true });
      expect(part.compared).toBeGreaterThan(1000);
    });
  }

  testWithGolden.each(['fromage-k1', 'fromage-k4-postnorm'])('%s with activations computed again', async (name) => {
    const folder = join(golden, name);
    const part = await compareTraining(folder, expectedOf(folder), { threads: 1, recomputeLayers: 1 });
    expect(part).toMatchObject({ ok: true });
  });

  testWithGolden('a number that is off is found', async () => {
    const folder = join(golden, 'llama');
    const expected = expectedOf(folder);
    const part = await compareTraining(folder, { ...expected, causal_lm_loss_both_rows: (expected['causal_lm_loss_both_rows'] as number) * 1.001 }, { threads: 1 });
    expect(part).toMatchObject({ ok: false, note: expect.stringContaining('causal_lm_loss_both_rows') });
  });
});
