// Many messages over many chats at once with the platform's limits on: order per chat, none lost, none
// doubled, no storm of 429, and nothing of one chat in another. Prints its figures.
//
// Time is scaled, not simulated: a second of the limits (`secondMs`) lasts 40 ms here. A clock that jumps to
// the next timer whenever nothing is due would be unsound: whether something is due cannot be seen from
// inside the process. Sockets between the client libraries and the loopback servers, SQLite and the engine's
// threads are real, and a jump while an answer is on the wire is a timeout. And discord.js and telegraf keep
// timers of their own (requests 15 s and 500 s, heartbeats, waits of rate-limit buckets) on the global clock,
// which undici, ws and node:net share.
import { expect } from '@jest/globals';
import { entry } from './bench.ts';
import { colourPng } from './pictures.ts';
import type { Person, Room, Said, Stage, StageOptions } from './stages.ts';

export interface SoakPlan {
  readonly messages: number;
  readonly chats: number;
  /** Fails when no further answer came for so long. */
  readonly stuckMs: number;
}

interface Talk {
  readonly me: Person;
  readonly room: Room;
  readonly marker: string;
  readonly asked: string[];
}

const finished = (said: Said): boolean => said.buttons.some((data) => data.startsWith('u:'));

/** As long as answers come it may take as long as it takes: the machine may be busy. Looks seldom, for it looks at everything. */
async function untilAllAnswered(stage: Stage, talks: readonly Talk[], { messages, stuckMs }: SoakPlan): Promise<void> {
  const count = (): number => talks.reduce((sum, { room, asked }) => sum + Math.min(asked.length, stage.said(room).filter(finished).length), 0);
  let [seen, since] = [count(), Date.now()];
  while (seen < messages) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = count();
    if (now > seen) [seen, since] = [now, Date.now()];
    else if (Date.now() - since > stuckMs) throw new Error(`${seen} of ${messages} answers, and no further one for ${stuckMs} ms`);
  }
}

export async function soak(open: (options: StageOptions) => Promise<Stage>, plan: SoakPlan): Promise<void> {
  const stage = await open({ bot: { maxRunning: 8, maxWaiting: 5_000 } });
  try {
    const { store, engine, gallery } = stage.bench;
    await store.settings.set('global', 'limit.user', 10_000);
    await store.settings.set('global', 'limit.chat', 10_000);
    const talks: Talk[] = Array.from({ length: plan.chats }, (_, i) => {
      const me = stage.person(20_000 + i);
      // Half of them are groups.
      return { me, room: i % 2 === 0 ? stage.direct(me) : stage.group([me]), marker: `marker-of-chat-${i}-`, asked: [] };
    });
    // Some chats have pictures that only they may see.
    for (const [i, { room }] of talks.entries()) if (i % 5 === 0) await gallery.add([await entry(engine, 100 + i, `chat:${room.key}`)]);

    const started = Date.now();
    for (let n = 0; n < plan.messages; n++) {
      const { me, room, marker, asked } = talks[n % talks.length]!;
      const round = Math.floor(n / talks.length);
      const text = round % 3 === 1 ? `show me a picture of ${marker}${round}` : `${marker}${round}`;
      asked.push(stage.say(room, me, text, round % 4 === 2 ? { pictures: [colourPng(n)] } : {}));
      if (n % 25 === 24) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await untilAllAnswered(stage, talks, plan);
    const seconds = (Date.now() - started) / 1000;
    await new Promise((resolve) => setTimeout(resolve, 300));

    for (const { room, asked } of talks) {
      const said = stage.said(room);
      // Replies name their question: each once, in the order of the questions.
      const answered = said.map(({ replyTo }) => replyTo).filter((id) => id !== null);
      expect([...new Set(answered)]).toEqual(asked);
      expect(said.filter(finished)).toHaveLength(asked.length);
      const foreign = said.flatMap(({ pictures }) => pictures.map(({ alt }) => alt)).filter((alt) => alt.includes('of chat:') && !alt.includes(`of chat:${room.key}\n`));
      expect(foreign).toEqual([]);
    }
    // Nothing of one chat in another: prompts, pictures, prefix keys.
    const seen = new Map<string, Set<string>>();
    for (const { prompt, conversation = '' } of engine.requests) {
      const own = seen.get(conversation) ?? new Set();
      for (const match of JSON.stringify(prompt).matchAll(/marker-of-chat-\d+-/g)) own.add(match[0]);
      seen.set(conversation, own);
    }
    expect(seen.size).toBe(plan.chats);
    // Nothing was computed twice.
    expect(engine.requests).toHaveLength(plan.messages);
    for (const markers of seen.values()) expect(markers.size).toBe(1);
    expect(stage.violations()).toEqual([]);
    expect(stage.tooManyRequests()).toBeLessThanOrEqual(Math.ceil(plan.messages / 50));
    console.log(`${stage.name}: ${plan.messages} messages over ${plan.chats} chats in ${seconds.toFixed(1)} s, ${engine.requests.length} answers, ${stage.tooManyRequests()} times 429, 0 lost, 0 doubled`);
  } finally {
    await stage.close();
  }
}
