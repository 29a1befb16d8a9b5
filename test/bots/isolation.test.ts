// Whatever people do in whatever order, no word, picture, prefix-cache hit or embedding of one chat reaches
// another. Each of these is seen at the place where it would cross: the engine's requests, what its prefix
// cache gave, the questions to the gallery, and what the platforms show.
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import type { GenerateRequest } from '../../src/engine/types.ts';
import type { GalleryQuery } from '../../src/retrieval/types.ts';
import { dot } from '../../src/tensor/index.ts';
import { sanitizePicture } from '../../src/vision/index.ts';
import { entry } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, openTelegram, type Person, type Room, type Stage, type StageOptions } from './stages.ts';

const action = fc.record({ who: fc.integer({ min: 0, max: 3 }), what: fc.constantFrom('say', 'say', 'picture', 'show', 'similar', 'more', 'foreign', 'reset', 'again') });
type Action = { readonly who: number; readonly what: string };

interface Talk {
  readonly me: Person;
  readonly room: Room;
  /** Stands in everything that is said here, and nowhere else. */
  readonly marker: string;
  /** The picture that is sent here, and nowhere else. */
  readonly picture: Uint8Array;
  said: number;
}

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  test('nothing crosses from chat to chat', async () => {
    const stage = await open({ limits: false });
    const { engine, gallery, store } = stage.bench;
    const asked: GalleryQuery[] = [];
    const find = gallery.find.bind(gallery);
    gallery.find = (query) => {
      asked.push(query);
      return find(query);
    };
    let run = 0;
    let hits = 0;
    try {
      for (const name of ['user', 'chat']) await store.settings.set('global', `limit.${name}`, 10_000);
      await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 4, maxLength: 8 }), async (actions) => {
        const [fromRequest, fromBegan, fromAsked] = [engine.requests.length, engine.began.length, asked.length];
        const talks = await openTalks(stage, ++run);
        // Each chat has answers first, so that there is something to cross, to press and to find in the cache;
        // the first chat's stand in the cache before the others begin.
        const everybody = talks.map((_, who) => who);
        for (const group of [everybody.slice(0, 1), everybody.slice(1)]) {
          for (const who of group) for (const what of ['say', 'show', 'say']) act(stage, talks, { who, what });
          await untilIdle(stage);
        }
        for (const who of everybody) act(stage, talks, { who, what: 'foreign' });
        for (const one of actions) act(stage, talks, one);
        await untilIdle(stage);
        const owners = await checkRequests(engine.requests.slice(fromRequest), talks);
        hits += checkPrefixes(engine.began.slice(fromBegan));
        await checkQuestions(stage, talks, owners, engine.began.slice(fromBegan), asked.slice(fromAsked));
        checkShown(stage, talks);
      }), { numRuns: 2, endOnFailure: true });
      // Else the checks above have seen nothing.
      expect(hits).toBeGreaterThan(0);
      expect(asked.length).toBeGreaterThan(0);
      expect(stage.violations()).toEqual([]);
    } finally {
      await stage.close();
    }
  }, 600_000);
});

async function openTalks(stage: Stage, run: number): Promise<Talk[]> {
  return Promise.all(Array.from({ length: 4 }, async (_, i) => {
    const me = stage.person(30_000 + run * 10 + i);
    const room = i % 2 === 0 ? stage.direct(me) : stage.group([me]);
    // Each chat has pictures of its own beside everybody's.
    for (const n of [0, 1]) await stage.bench.gallery.add([await entry(stage.bench.engine, 200 + run * 20 + i * 2 + n, `chat:${room.key}`)]);
    return { me, room, marker: `secret-${run}-${i}-`, picture: colourPng(1_000 + run * 100 + i), said: 0 };
  }));
}

function act(stage: Stage, talks: readonly Talk[], { who, what }: Action): void {
  const talk = talks[who]!;
  const { me, room, marker, picture } = talk;
  const answers = (of: Talk) => stage.said(of.room).filter(({ buttons }) => buttons.some((data) => data.startsWith('a:')));
  const last = answers(talk).at(-1);
  // All begin with the same words: a prefix of one chat would fit into the others'.
  if (what === 'say') stage.say(room, me, `Tell me something nice about the weather of ${marker}${talk.said++}`);
  else if (what === 'picture') stage.say(room, me, `${marker}${talk.said++}`, { pictures: [picture] });
  else if (what === 'show') stage.command(room, me, 'show', { what: `another ${marker}${talk.said++}` });
  else if (what === 'similar') stage.command(room, me, 'similar', {}, { picture });
  else if (what === 'reset') stage.command(room, me, 'reset');
  else if (what === 'foreign') {
    // Buttons of another chat's answers, made up here.
    const theirs = answers(talks[(who + 1) % talks.length]!).slice(-3);
    for (const { buttons } of last ? theirs : []) for (const letter of ['m', 'a']) stage.forge(room, last!.id, me, `${letter}:${buttons[0]!.slice(2)}`);
  } else if (last) stage.click(room, last.id, me, what === 'more' && last.buttons.some((data) => data.startsWith('m:')) ? 'm' : 'a');
}

async function untilIdle(stage: Stage): Promise<void> {
  const { inbox, outbox } = stage.bench.store;
  const idle = async (): Promise<boolean> => {
    const [incoming, outgoing] = await Promise.all([inbox.stats(), outbox.stats()]);
    return incoming.pending + incoming.running + outgoing.pending + outgoing.running === 0;
  };
  for (let calm = 0, seen = '', movedAt = Date.now(); calm < 4; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    calm = (await idle()) ? calm + 1 : 0;
    // On a busy machine it takes long; stuck is what does not go on.
    const now = `${stage.bench.engine.requests.length} ${(await outbox.stats()).pending} ${calm}`;
    if (now !== seen) [seen, movedAt] = [now, Date.now()];
    if (Date.now() - movedAt > 60_000) throw new Error('the queues did not empty');
  }
}

/** Words and pictures in the prompts. @returns whose each conversation is */
async function checkRequests(requests: readonly GenerateRequest[], talks: readonly Talk[]): Promise<Map<string, string>> {
  const byConversation = new Map<string, Set<string>>();
  const hashesOf = new Map<string, Set<string>>();
  for (const { prompt, conversation = '' } of requests) {
    const markers = byConversation.get(conversation) ?? new Set();
    for (const match of JSON.stringify(prompt).matchAll(/secret-\d+-\d+-/g)) markers.add(match[0]);
    byConversation.set(conversation, markers);
  }
  for (const markers of byConversation.values()) expect(markers.size).toBeLessThanOrEqual(1);
  for (const { prompt, conversation = '' } of requests) {
    const [marker] = byConversation.get(conversation) ?? [];
    for (const part of prompt.kind === 'turns' ? prompt.turns.flatMap((turn) => turn.parts) : []) {
      // Pictures of the gallery come back by the names of their files.
      if (part.type !== 'image' || !('bytes' in part.image) || marker === undefined) continue;
      const { hash = '' } = part.image;
      if (hash.startsWith('hash-all-')) continue;
      hashesOf.set(hash, (hashesOf.get(hash) ?? new Set()).add(marker));
      const talk = talks.find((one) => one.marker === marker)!;
      if (hash.startsWith('hash-')) expect(hash).toContain(`hash-chat:${talk.room.key}-`);
    }
  }
  for (const owners of hashesOf.values()) expect(owners.size).toBe(1);
  return new Map([...byConversation].flatMap(([conversation, [marker]]) => (marker === undefined ? [] : [[conversation, marker] as const])));
}

/** A conversation finds in the prefix cache only what it put there: never anything at its first request. @returns hits */
function checkPrefixes(began: Stage['bench']['engine']['began']): number {
  const longest = new Map<string, number>();
  let hits = 0;
  for (const { conversation, promptTokens, cachedTokens } of began) {
    if (!longest.has(conversation)) expect(cachedTokens).toBe(0);
    if (cachedTokens > 0) hits++;
    longest.set(conversation, Math.max(longest.get(conversation) ?? 0, promptTokens));
  }
  return hits;
}

/** The gallery is asked with embeddings of the chat's own [RET]s and pictures only, for what the chat may see. */
async function checkQuestions(stage: Stage, talks: readonly Talk[], owners: ReadonlyMap<string, string>, began: Stage['bench']['engine']['began'], asked: readonly GalleryQuery[]): Promise<void> {
  const { engine } = stage.bench;
  const own = new Map<string, Float32Array[]>();
  for (const { marker, picture, room } of talks) {
    const { bytes } = await sanitizePicture(picture);
    const [pooled] = await engine.encodeImages([bytes]);
    if (!(pooled instanceof Float32Array)) throw new Error('the picture was not encoded');
    const embeddings = began.filter(({ conversation }) => owners.get(conversation) === marker).flatMap((one) => one.embeddings);
    own.set(`chat:${room.key}`, [...embeddings, ...(await engine.projectImages([pooled]))]);
  }
  const roomOf = new Map<string, string>();
  for (const { filter, vector } of asked) {
    const chats = filter.tenants.filter((tenant) => tenant.startsWith('chat:'));
    expect(chats).toHaveLength(1);
    // Each room here has a server of its own: no scope but everybody's belongs to two rooms.
    for (const scope of filter.tenants.filter((tenant) => tenant !== 'all')) {
      if (!roomOf.has(scope)) roomOf.set(scope, chats[0]!);
      expect(roomOf.get(scope)).toBe(chats[0]);
    }
    const nearest = Math.max(...(own.get(chats[0]!) ?? []).map((embedding) => dot(embedding, 0, vector, 0, vector.length)));
    // Stored embeddings are rounded to six digits.
    expect(nearest).toBeGreaterThan(0.999999);
  }
}

function checkShown(stage: Stage, talks: readonly Talk[]): void {
  for (const { room } of talks) {
    const said = stage.said(room);
    const scoped = said.flatMap(({ pictures }) => pictures.map(({ alt }) => alt)).filter((alt) => alt.includes(' of chat:'));
    for (const alt of scoped) expect(alt).toContain(` of chat:${room.key}\n`);
    expect(said.some(({ text }) => talks.some((other) => other.room !== room && text.includes(other.marker)))).toBe(false);
  }
}
