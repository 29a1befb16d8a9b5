// Where content matters: the starter model of the repository behind both platforms at once. Asserts what is
// robust (words or a picture, which things the picture shows), never the exact words.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Engine } from '../../src/engine/types.ts';
import { type GalleryEntry, pictureId } from '../../src/retrieval/index.ts';
import { type Bench, openStarterBench, until } from './bench.ts';
import { openDiscord, openTelegram, type Room, type Said, type Stage } from './stages.ts';

const root = resolve(import.meta.dirname, '../..');
/** Weights are left out of sparse checkouts. */
const withStarter = existsSync(join(root, 'models/starter/SmolLM2-135M-Instruct.Q4_1.gguf')) ? describe : describe.skip;
const dogs = ['dog', 'dog face', 'poodle', 'guide dog'];

/** The dogs and every eightieth other picture of the starter gallery: all 1,360 would take long to encode. */
async function someOfTheGallery(engine: Engine): Promise<GalleryEntry[]> {
  const named = JSON.parse(readFileSync(join(root, 'models/starter/gallery.json'), 'utf8')) as { file: string; name: string }[];
  const chosen = named.filter(({ name }, i) => dogs.includes(name) || i % 80 === 0);
  const assets = join(dirname(createRequire(import.meta.url).resolve('@lobehub/fluent-emoji-3d/package.json')), 'assets');
  const bytes = await Promise.all(chosen.map(({ file }) => readFile(join(assets, file))));
  const pooled = await engine.encodeImages(bytes);
  return chosen.map(({ file, name }, i) => ({
    picture: {
      id: pictureId('starter', file), hash: createHash('sha256').update(bytes[i]!).digest('hex'), tenant: 'all', alt: name, caption: null, source: '@lobehub/fluent-emoji-3d (Microsoft Fluent Emoji)',
      licence: 'MIT', addedBy: null, addedAt: 0, tags: ['starter'], contentClass: 'safe', mimeType: 'image/webp', width: 256, height: 256,
    },
    pooled: pooled[i] as Float32Array,
    load: async () => bytes[i]!,
  }));
}

/** A house under the sun, drawn here of plain boxes. */
const drawing = (): Promise<Buffer> => {
  const box = (left: number, top: number, width: number, height: number, background: string) => ({ input: { create: { width, height, channels: 3 as const, background } }, left, top });
  const sky = sharp({ create: { width: 320, height: 240, channels: 3, background: '#8cc8ff' } });
  return sky.composite([box(0, 170, 320, 70, '#3c9a3c'), box(240, 30, 50, 50, '#ffd21e'), box(60, 80, 150, 30, '#7a3a26'), box(70, 110, 130, 90, '#c8553d'), box(120, 145, 32, 55, '#4a2a1a')]).png().toBuffer();
};

withStarter('the starter model', () => {
  let bench: Bench;
  const stages = new Map<string, Stage>();

  beforeAll(async () => {
    bench = await openStarterBench(someOfTheGallery);
    stages.set('Telegram', await openTelegram({ bench }));
    stages.set('Discord', await openDiscord({ bench }));
  }, 600_000);
  afterAll(async () => {
    for (const stage of stages.values()) await stage.close();
    await bench?.close();
  });

  describe.each(['Telegram', 'Discord'])('on %s', (name) => {
    const stage = (): Stage => stages.get(name)!;
    /** What the bot said to the question: the messages of its one answer as a whole. */
    const answerTo = async (room: Room, before: number): Promise<{ text: string; alts: readonly string[]; first: Said }> => {
      const fresh = (): Said[] => stage().said(room).slice(before);
      await until('the answer', () => fresh().some(({ buttons }) => buttons.some((data) => data.startsWith('u:'))), 240_000);
      return { text: fresh().map(({ text, pictures }) => (pictures.length > 0 && pictures[0]!.alt === text ? '' : text)).join('\n').trim(), alts: fresh().flatMap(({ pictures }) => pictures.map(({ alt }) => alt)), first: fresh()[0]! };
    };
    const ask = async (room: Room, person: ReturnType<Stage['person']>, text: string, pictures: readonly Uint8Array[] = []) => {
      const { conversations, settings } = bench.store;
      const chat = await conversations.ensureChat({ platform: stage().name, externalId: room.key.slice(room.key.indexOf(':') + 1), kind: room.isPrivate ? 'private' : 'group' });
      // Long answers show no more than short ones here.
      await settings.set(`chat:${chat.id}`, 'maxWords', 24);
      const before = stage().said(room).length;
      const asked = stage().say(room, person, text, pictures.length > 0 ? { pictures } : {});
      const answer = await answerTo(room, before);
      expect(answer.first.replyTo).toBe(asked);
      return answer;
    };

    test('a picture that is sent is told in words', async () => {
      const me = stage().person(1);
      const { text, alts } = await ask(stage().direct(me), me, 'What is in this picture?', [await drawing()]);
      expect(text.split(/\s+/).length).toBeGreaterThan(2);
      expect(text).toMatch(/[a-z]{3}/);
      expect(alts).toEqual([]);
      const { prompt } = bench.engine.requests.at(-1)!;
      expect(prompt.kind === 'turns' && prompt.turns.at(-1)?.parts.map(({ type }) => type)).toEqual(['image', 'text']);
    }, 600_000);

    test('“show me a dog” shows one with alt text, source and licence; “any other dog” shows another', async () => {
      const me = stage().person(2);
      const room = stage().group([me]);
      const one = await ask(room, me, 'show me a dog');
      const two = await ask(room, me, 'show me any other dog');
      const shown = [...one.alts, ...two.alts];
      expect(shown).toHaveLength(2);
      for (const alt of shown) expect(alt).toMatch(/^[a-z ]+\nSource: @lobehub\/fluent-emoji-3d \(Microsoft Fluent Emoji\)\nLicence: MIT$/);
      const names = shown.map((alt) => alt.split('\n')[0]!);
      expect(dogs).toContain(names[0]);
      expect(dogs).toContain(names[1]);
      expect(names[1]).not.toBe(names[0]);
    }, 600_000);

    test('ordinary talk gets words and no picture', async () => {
      const me = stage().person(3);
      const { text, alts } = await ask(stage().direct(me), me, 'What is the capital of France?');
      expect(text).toContain('Paris');
      expect(alts).toEqual([]);
      expect(stage().violations()).toEqual([]);
    }, 600_000);
  });
});
