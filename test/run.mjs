// Runs Jest as the README's test command does and prints the result once more as one plain last line:
// "N passed, N failed, N skipped". Arguments go to Jest; --long adds the *.long.ts files with full counts.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const args = process.argv.slice(2);
const long = args.includes('--long');
const folder = mkdtempSync(join(tmpdir(), 'fromage-jest-'));
const report = join(folder, 'report.json');
const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
const child = spawn(
  process.execPath,
  [...flags, jest, '--json', `--outputFile=${report}`, '--silent=false', ...args.filter((arg) => arg !== '--long')],
  { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...(long ? { FROMAGE_TEST_LONG: '1' } : {}) } },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  let summary = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numRuntimeErrorTestSuites: 0 };
  try {
    summary = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    summary.numFailedTests = 1;
  }
  rmSync(folder, { recursive: true, force: true });
  const failed = summary.numFailedTests + summary.numRuntimeErrorTestSuites;
  console.log(`${summary.numPassedTests} passed, ${failed} failed, ${summary.numPendingTests} skipped`);
  process.exitCode = code === 0 && failed === 0 ? 0 : 1;
});
