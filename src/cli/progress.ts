// Progress bars with rate and time to go, on standard error; plain lines now and then where there is no
// terminal, nothing with --json or --quiet.
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  update(done: number, total: number): void;
  end(): void;
}

const silent: Progress = { update() {}, end() {} };
/** Without a terminal, a line at most this often. */
const lineEveryMs = 10_000;
/** Seconds; a rate over less would be noise. */
const shortestMeasure = 0.1;

/** @param unit what is counted, in the plural: `pictures` */
export function createProgress(title: string, unit: string, quiet = false): Progress {
  if (quiet) return silent;
  const began = performance.now();
  const rate = (done: number) => (done / Math.max(0.001, (performance.now() - began) / 1000)).toFixed(1);
  if (!process.stderr.isTTY) {
    let last = { at: began, done: 0 };
    return {
      update(done, total) {
        const now = performance.now();
        if (done < total && now - last.at < lineEveryMs) return;
        // Since the last line: what was kept from an earlier run passes at once and says nothing of the rest.
        const seconds = (now - last.at) / 1000;
        const speed = (done - last.done) / seconds;
        last = { at: now, done };
        const told = seconds < shortestMeasure || speed === 0 ? '' : `, ${speed.toFixed(1)} a second${done === total ? '' : `, ${Math.ceil((total - done) / speed)} s to go`}`;
        process.stderr.write(`${title}: ${done} of ${total} ${unit}${told}\n`);
      },
      end() {},
    };
  }
  const bar = new SingleBar({ format: `${title} {bar} {percentage}% | {value}/{total} ${unit} | {rate}/s | {eta_formatted} to go`, hideCursor: true, stream: process.stderr, etaBuffer: 50 }, Presets.shades_classic);
  let started = false;
  return {
    update(done, total) {
      if (!started) bar.start(total, done, { rate: rate(done) });
      started = true;
      bar.update(done, { rate: rate(done) });
    },
    end() {
      if (started) bar.stop();
    },
  };
}
