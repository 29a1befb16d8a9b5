// Announced memory is what is used, within a tenth: OPT-125m's shapes, as each kind of weights. The first
// load converts; memory is taken on the second, as in every start but the first.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { writeSparseOpt } from '../tiny/sparse-opt.ts';

const root = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Resident memory is read from /proc. */
const onLinux = existsSync('/proc/self/status') ? test : test.skip;

onLinux.each([
  ['fp32', 1],
  ['q8', 1],
  ['q4', 1],
  ['q8', 8],
])('%s with %i slots', (weights, slots) => {
  const source = join(root, 'opt-125m');
  if (!existsSync(source)) writeSparseOpt(source, '125m');
  const measure = (): { resident: number; announced: number } => {
    const script = join(import.meta.dirname, 'measure-memory.ts');
    return JSON.parse(execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', script, source, join(root, 'cache'), weights, String(slots)], { encoding: 'utf8' })) as { resident: number; announced: number };
  };
  measure();
  const { resident, announced } = measure();
  expect(resident / announced).toBeGreaterThan(0.9);
  expect(resident / announced).toBeLessThan(1.1);
});
