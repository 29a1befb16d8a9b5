// On a machine that is busy a lease may run out while its holder works. Nothing is done twice for that.
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from './bench.ts';
import { openDiscord, openTelegram, type Stage, type StageOptions } from './stages.ts';

let stage: Stage | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  test('a lease that could not be extended in time makes no second answer', async () => {
    stage = await open({ bot: { times: { leaseMs: 100 } } });
    const { engine, store } = stage.bench;
    let late = 0;
    for (const queue of [store.inbox, store.outbox]) {
      queue.extend = async () => {
        late++;
        return false;
      };
    }
    const me = stage.person(1);
    const room = stage.group([me]);
    engine.delayMs = 50;
    const asked = stage.say(room, me, 'take your time');
    const finished = () => stage!.said(room).filter(({ buttons }) => buttons.some((data) => data.startsWith('u:')));
    await until('the answer', () => finished().length > 0);
    // Another question is answered as well: the first one's lane was given back.
    engine.delayMs = 0;
    stage.say(room, me, 'and now?');
    await until('the second answer', () => finished().length > 1);
    expect(late).toBeGreaterThan(3);
    expect(engine.requests).toHaveLength(2);
    expect(finished()).toHaveLength(2);
    expect(stage.said(room).filter(({ replyTo }) => replyTo === asked)).toHaveLength(1);
  });
});
