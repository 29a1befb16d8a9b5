// A world in which the whole loop can turn: a tiny model, a store and a gallery on disk, people who ask,
// are answered, vote and consent. Nothing in it is simulated but the people.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { User } from '../../src/chat/contracts.ts';
import { createEngine } from '../../src/engine/index.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createLearning, type Learning, type LearningSettingsInput } from '../../src/learning/index.ts';
import { createLogger } from '../../src/log.ts';
import { loadFromage } from '../../src/model/index.ts';
import { EmbeddedIndex, openStoredGallery, type StoredGallery } from '../../src/retrieval/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { PictureWorker } from '../../src/vision/index.ts';
import { tinyVisionHiddenSize, writeTinyFromage } from '../tiny/fromage.ts';
import { normal, normals } from '../tiny/random.ts';

/** Captions of the gallery; the first picture is the one that "my cat" should mean. */
export const captions = ['a striped thing', 'a red square', 'a green field', 'a blue lake', 'a black dog', 'a white wall', 'a yellow sun', 'a pink ball', 'a gray stone', 'a brown bear', 'a big wave', 'a small tree'];
export const everyone = { tenants: ['all'] };

export interface World {
  readonly folder: string;
  readonly store: Store;
  readonly engine: Engine;
  readonly gallery: StoredGallery;
  /** Ids in the order of `captions`. */
  readonly pictures: readonly string[];
  learning(settings?: LearningSettingsInput): Promise<Learning>;
  person(number: number, consents?: readonly ('train-text' | 'train-pictures' | 'train-votes')[], platform?: string): Promise<Person>;
  /** What a chat would be shown for these words now. */
  shownFor(words: string, adapter?: string): Promise<string>;
  /** Leaves the folder, for another process to open. */
  close(): Promise<void>;
  cleanUp(): void;
}

export interface Person {
  readonly user: User;
  readonly chatId: string;
  /** Asks, is shown pictures, and gives the answer's id. */
  ask(words: string, shown: readonly string[]): Promise<string>;
}

/** Fast and strict enough for twelve pictures. */
export const quickly: LearningSettingsInput = {
  replay: { pictures: 8, dev: 4 },
  gate: { recallLoss: 1, approvalLoss: 1 },
  training: { steps: 10, threads: 1, retrievalMaps: { steps: 600, batchSize: 64, dropout: 0.2, lr: 5e-3, weightDecay: 0.5, warmupSteps: 2 }, checkpointEvery: 2 },
};

/** A picture of one colour; what the encoder "sees" in it is planted, for one that was never trained sees next to nothing. */
async function plantPicture(store: Store, encoder: string, i: number): Promise<string> {
  const bytes = new Uint8Array(await sharp({ create: { width: 24, height: 24, channels: 3, background: { r: 20 * i, g: 250 - 20 * i, b: (90 * i) % 255 } } }).png().toBuffer());
  const facts = { mimeType: 'image/png', width: 24, height: 24 };
  const { hash } = await store.files.put(bytes, facts);
  const id = `00000000-0000-4000-8000-0000000000${i + 10}`;
  const values = normals(normal(70 + i), tinyVisionHiddenSize, 1);
  const row = { tenant: 'all', alt: captions[i]!, caption: captions[i]!, source: null, licence: null, addedBy: null, addedAt: 1, tags: [], contentClass: 'safe', perceptualHash: null, url: null };
  await store.pictures.add([{ ...facts, ...row, id, hash, pooled: { encoder, values } }]);
  return id;
}

/**
 * @param known folder of a world to open again
 * @param textLayers that the adapters of a new one read
 */
export async function openWorld(known?: string, textLayers: readonly number[] = [-1]): Promise<World> {
  const folder = known ?? mkdtempSync(join(tmpdir(), 'fromage-learning-'));
  const model = join(folder, 'model');
  if (known === undefined) writeTinyFromage(model, 11, { family: 'llama', visualTokens: 2, textLayers });
  const data = join(folder, 'data');
  const store = await openStore({ dataDir: data });
  const engine = createEngine(await loadFromage({ model, weights: 'fp32', cacheDir: join(folder, 'cache'), threads: 1, verify: 'never' }), { drainMs: 200 });
  const info = await engine.info();
  const decoder = new PictureWorker({ processes: 1 });
  const pictures: string[] = [];
  for (const i of captions.keys()) pictures.push(known === undefined ? await plantPicture(store, info.visionHash, i) : `00000000-0000-4000-8000-0000000000${i + 10}`);
  const first = info.adapters.find(({ id }) => id === info.servingAdapter)!;
  const gallery = await openStoredGallery(
    { pictures: store.pictures, files: store.files, encoder: info.visionHash, encode: (images) => engine.encodeImages(images), decoder, createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }), refreshMs: 0, scoreThreshold: -1 },
    { key: first.visualHash, dim: first.retrievalDim, adapters: [first.id], project: (pooled) => engine.projectImages(pooled, first.id) },
  );
  const opened: Learning[] = [];
  return {
    folder,
    store,
    engine,
    gallery,
    pictures,
    async learning(settings = quickly) {
      const learning = await createLearning({
        store, engine, gallery: () => gallery, dataDir: data, baseAdapter: join(model, 'adapter'), models: { model, cacheDir: join(folder, 'cache') }, settings, log: createLogger('silent'), leaseMs: 1_500, pollMs: 200,
      });
      opened.push(learning);
      return learning;
    },
    async person(number, consents = ['train-text', 'train-votes'], platform = 'telegram') {
      const user = await store.conversations.ensureUser({ platform, externalId: String(number), name: `Person ${number}` });
      const chat = await store.conversations.ensureChat({ platform, externalId: String(number), kind: 'private' });
      for (const purpose of consents) await store.consents.grant(user.id, purpose, chat.id);
      const conversation = await store.conversations.current(chat.id);
      return {
        user,
        chatId: chat.id,
        async ask(words, shown) {
          const question = await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: words }] });
          const rows = await store.pictures.getMany(shown);
          const answer = await store.conversations.saveAnswer({
            conversationId: conversation.id, questionTurnId: question.id, seed: 1, options: {}, adapter: 'adapter', model: 'tiny', retProbability: 1, endReason: 'stop',
            parts: [{ type: 'text', text: 'Here.' }, ...rows.map(({ id, hash }) => ({ type: 'image' as const, hash, pictureId: id }))],
            rets: [{ embedding: Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0), after: 5, probability: 1 }],
            shown: shown.map((pictureId) => ({ pictureId, ret: 0, score: 0.5 })),
          });
          return answer.id;
        },
      };
    },
    async shownFor(words, adapter) {
      const [vector] = await engine.embedPrompts([{ kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: words }] }] }], adapter);
      const [hit] = await gallery.find({ vector: vector!, filter: everyone, limit: 1, ...(adapter === undefined ? {} : { adapter }) });
      return hit!.id;
    },
    async close() {
      for (const learning of opened) await learning.close();
      await gallery.close();
      await decoder.close();
      await engine.close();
      await store.close();
    },
    cleanUp: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Twelve people ask for their cat in various words, five times each; they like the first picture and no other. */
export async function plantPreference(world: World, people = 12): Promise<void> {
  const wishes = ['show me my cat', 'I want to see my cat', 'a picture of my cat please', 'can you show me my cat?', 'my cat!'];
  const [right] = world.pictures;
  for (let number = 1; number <= people; number++) {
    const person = await world.person(number);
    for (const [i, wish] of wishes.entries()) {
      const isRight = (number + i) % 2 === 0;
      const answer = await person.ask(wish, [isRight ? right! : world.pictures[1 + ((number + i) % (captions.length - 1))]!]);
      await world.store.votes.set(answer, person.user.id, isRight ? 'up' : 'down');
    }
  }
}

/** Waits for a job to be over, and says how it ended. */
export async function ended(learning: Learning, withinMs = 200_000) {
  const until = Date.now() + withinMs;
  for (;;) {
    const status = await learning.jobs.status();
    if (status && status.endedAt !== null) return status;
    if (Date.now() > until) throw new Error(`still ${status?.state}: ${status?.summary}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
