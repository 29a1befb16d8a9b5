// Whatever people do in whatever order, no word, picture or prefix of one chat reaches another.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { entry } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, openTelegram, type Stage, type StageOptions } from './stages.ts';

const action = fc.record({ who: fc.integer({ min: 0, max: 3 }), what: fc.constantFrom('say', 'say', 'picture', 'show', 'similar', 'more', 'reset', 'again') });

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  test('nothing crosses from chat to chat', async () => {
    const stage = await open({ limits: false });
    let run = 0;
    try {
      await stage.bench.store.settings.set('global', 'limit.user', 10_000);
      await stage.bench.store.settings.set('global', 'limit.chat', 10_000);
      await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 6, maxLength: 14 }), async (actions) => {
        const from = stage.bench.engine.requests.length;
        run++;
        const talks = await Promise.all(Array.from({ length: 4 }, async (_, i) => {
          const me = stage.person(30_000 + run * 10 + i);
          const room = i % 2 === 0 ? stage.direct(me) : stage.group([me]);
          // Each chat has pictures of its own beside everybody's.
          for (const n of [0, 1]) await stage.bench.gallery.add([await entry(stage.bench.engine, 200 + run * 20 + i * 2 + n, `chat:${room.key}`)]);
          return { me, room, marker: `secret-${run}-${i}-`, said: 0 };
        }));
        for (const { who, what } of actions) {
          const talk = talks[who]!;
          const { me, room, marker } = talk;
          const last = stage.said(room).findLast(({ buttons }) => buttons.some((data) => data.startsWith('a:')));
          if (what === 'say') stage.say(room, me, `${marker}${talk.said++}`);
          else if (what === 'picture') stage.say(room, me, `${marker}${talk.said++}`, { pictures: [colourPng(1000 + run * 100 + who)] });
          else if (what === 'show') stage.command(room, me, 'show', { what: `another ${marker}${talk.said++}` });
          else if (what === 'similar') stage.command(room, me, 'similar', {}, { picture: colourPng(who) });
          else if (what === 'reset') stage.command(room, me, 'reset');
          else if (last) stage.click(room, last.id, me, what === 'more' && last.buttons.some((data) => data.startsWith('m:')) ? 'm' : 'a');
        }
        const idle = async (): Promise<boolean> => {
          const [inbox, outbox] = await Promise.all([stage.bench.store.inbox.stats(), stage.bench.store.outbox.stats()]);
          return inbox.pending + inbox.running + outbox.pending + outbox.running === 0;
        };
        for (let i = 0, calm = 0; calm < 4; i++) {
          if (i > 400) throw new Error('the queues did not empty');
          await new Promise((resolve) => setTimeout(resolve, 50));
          calm = (await idle()) ? calm + 1 : 0;
        }
        const byConversation = new Map<string, Set<string>>();
        const hashesOf = new Map<string, Set<string>>();
        for (const { prompt, conversation = '' } of stage.bench.engine.requests.slice(from)) {
          const markers = byConversation.get(conversation) ?? new Set();
          for (const match of JSON.stringify(prompt).matchAll(/secret-\d+-\d+-/g)) markers.add(match[0]);
          byConversation.set(conversation, markers);
          for (const part of prompt.kind === 'turns' ? prompt.turns.flatMap((turn) => turn.parts) : []) {
            if (part.type !== 'image' || !('bytes' in part.image) || part.image.hash?.startsWith('hash-')) continue;
            for (const marker of markers) hashesOf.set(part.image.hash ?? '', (hashesOf.get(part.image.hash ?? '') ?? new Set()).add(marker));
          }
        }
        for (const markers of byConversation.values()) expect(markers.size).toBeLessThanOrEqual(1);
        for (const owners of hashesOf.values()) expect(owners.size).toBe(1);
        for (const { room } of talks) {
          const shown = stage.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt)).filter((alt) => alt.includes(' of chat:'));
          for (const alt of shown) expect(alt).toContain(` of chat:${room.key}\n`);
          expect(stage.said(room).some(({ text }) => talks.some((other) => other.room !== room && text.includes(other.marker)))).toBe(false);
        }
      }), { numRuns: 3 });
      expect(stage.bench.engine.requests.length).toBeGreaterThan(6);
      expect(stage.violations()).toEqual([]);
    } finally {
      await stage.close();
    }
  }, 120_000);
});
