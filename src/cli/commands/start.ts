// `fromage start`: the whole program, until Ctrl-C.
import { startApp } from '../../app/index.ts';
import { reportError } from '../report.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal, whenAborted } from '../interrupt.ts';
import { createProgress, type Progress } from '../progress.ts';

export async function start(options: Record<string, unknown>): Promise<void> {
  const config = configuration(options);
  const stopped = interruptSignal();
  const bars = new Map<string, Progress>();
  const app = await startApp(config, {
    say: (line) => process.stdout.write(`${line}\n`),
    onProgress(task, unit, done, total) {
      const bar = bars.get(task) ?? createProgress(task, unit);
      bars.set(task, bar);
      bar.update(done, total);
      if (done >= total) bar.end();
    },
  });
  try {
    await Promise.race([whenAborted(stopped), app.failed]);
  } catch (error) {
    // What failed is told before the program ends.
    process.exitCode = reportError(error);
  }
  process.stdout.write('stopping …\n');
  await app.stop();
  // Whatever still holds a handle (a library's timer) must not keep a stopped program alive.
  process.exit(process.exitCode ?? 0);
}
