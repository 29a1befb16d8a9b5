// A program that learns, to be killed: arguments are the world's folder and what to do. `train` starts or
// takes up a run and sees it through; `promote` lets two versions serve in turn until it dies.
import { ended, openWorld } from '../world.ts';

const [folder = '', what = 'train'] = process.argv.slice(2);
const world = await openWorld(folder);
const learning = await world.learning();
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (what === 'train') {
  const known = await learning.jobs.status();
  if (known === null) {
    const started = await learning.jobs.start({ by: '', reason: 'to be killed' });
    if (!started.started) throw new Error(started.why);
  }
  say('going');
  const over = await ended(learning);
  say(`ended ${over.state} ${over.summary}`);
} else {
  const versions = (await learning.adapters.list()).filter(({ id }) => id.startsWith('a-') || id.startsWith('base-'));
  say('going');
  for (let i = 0; ; i++) await learning.adapters.promote(versions[i % versions.length]!.id, '');
}
await world.close();
