// Progress where there is no terminal: lines now and then, with a rate that tells of the work that is left.
import { afterEach, expect, jest, test } from '@jest/globals';
import { createProgress } from '../../src/cli/progress.ts';

const terminal = process.stderr.isTTY;
afterEach(() => {
  process.stderr.isTTY = terminal;
  jest.useRealTimers();
  jest.restoreAllMocks();
});

test('each line tells the rate since the line before: what was done already passes at once', () => {
  process.stderr.isTTY = false;
  jest.useFakeTimers();
  const lines: string[] = [];
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  const progress = createProgress('describing', 'pictures');
  progress.update(0, 1000);
  progress.update(500, 1000);
  jest.advanceTimersByTime(10_000);
  progress.update(510, 1000);
  jest.advanceTimersByTime(5_000);
  progress.update(515, 1000);
  jest.advanceTimersByTime(5_000);
  progress.update(520, 1000);
  jest.advanceTimersByTime(1_000);
  progress.update(1000, 1000);
  expect(lines).toEqual([
    'describing: 510 of 1000 pictures, 51.0 a second, 10 s to go\n',
    'describing: 520 of 1000 pictures, 1.0 a second, 480 s to go\n',
    'describing: 1000 of 1000 pictures, 480.0 a second\n',
  ]);
});

test('work that was all done before has no rate, and a quiet run says nothing', () => {
  process.stderr.isTTY = false;
  const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  createProgress('describing', 'pictures').update(300, 300);
  createProgress('describing', 'pictures', true).update(300, 300);
  expect(write.mock.calls.map(([text]) => text)).toEqual(['describing: 300 of 300 pictures\n']);
});
