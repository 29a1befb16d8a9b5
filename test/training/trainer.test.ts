// Whole runs on tiny models: they learn, leave the frozen weights alone, stop and go on to the same numbers.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openSafetensors } from '../../src/formats/index.ts';
import { readAdapterFolder } from '../../src/model/index.ts';
import { train, type TrainProgress } from '../../src/training/index.ts';
import { writeTinyRun } from './tiny-run.ts';

function metrics(run: string, type: string): Record<string, number>[] {
  return readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, number>).filter((line) => String(line['type']) === type);
}

function hashOfFolder(folder: string): string {
  const hash = createHash('sha256');
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())) hash.update(entry.name).update(readFileSync(join(entry.parentPath, entry.name)));
  return hash.digest('hex');
}

test.each(['opt', 'llama'] as const)('a run with both losses learns and leaves the frozen weights alone (%s)', async (family) => {
  const { folder, config } = await writeTinyRun(family, { steps: 20, retrievalMaps: { steps: 50, batchSize: 16, dropout: 0, lr: 5e-3, weightDecay: 0.1, warmupSteps: 2 }, validateEvery: 20, normalizeFeatures: true });
  const frozen = ['lm', 'vision'].map((part) => hashOfFolder(join(folder, 'model', part)));
  const seen: TrainProgress[] = [];
  const result = await train(config, { onProgress: (progress) => seen.push(progress) });
  expect(result).toMatchObject({ status: 'finished', steps: 70, skippedRows: 3, unreadablePictures: 3 });
  expect(result.seconds).toBeGreaterThan(0);
  expect(['lm', 'vision'].map((part) => hashOfFolder(join(folder, 'model', part)))).toEqual(frozen);
  const steps = metrics(config.run, 'step');
  expect(steps).toHaveLength(70);
  expect(steps[19]!['captioning']!).toBeLessThan(steps[0]!['captioning']! - 0.1);
  const mean = (from: number, to: number, key: string) => steps.slice(from, to).reduce((sum, step) => sum + step[key]!, 0) / (to - from);
  expect(mean(15, 20, 'textToImage')).toBeLessThan(mean(0, 5, 'textToImage'));
  expect(mean(60, 70, 'imageToText')).toBeLessThan(mean(20, 25, 'imageToText') - 0.2);
  const validations = metrics(config.run, 'validation');
  expect(validations.at(-1)!['t2iRecallAt5']!).toBeGreaterThan(validations[0]!['t2iRecallAt1']!);
  expect(readFileSync(join(config.run, 'plots/losses.svg'), 'utf8')).toContain('<polyline');
  expect(new Set(seen.map(({ stage }) => stage))).toEqual(new Set(['pictures', 'joint', 'states', 'maps', 'validation']));
  const { tensors, card } = readAdapterFolder(result.adapter!);
  expect(tensors.featureMean).toBeUndefined();
  expect(card.metrics).toMatchObject({ steps: 70 });
  const written = ['adapter.json', 'README.md'].map((file) => readFileSync(join(result.adapter!, file), 'utf8'));
  expect(written[1]).toContain('caption → picture (24)');
  // What is published names no folder of the machine.
  for (const text of written) expect(text).not.toContain(folder);
  expect(readFileSync(join(config.run, 'unreadable-pictures.txt'), 'utf8').trim().split('\n')).toHaveLength(3);
});

test('a run that is stopped again and again ends with the very numbers of one that was not', async () => {
  const settings = { steps: 12, retrievalMaps: { steps: 6, batchSize: 12, warmupSteps: 1 }, form: 'chat' as const, textLayers: [1, -1], data: undefined };
  const { folder, config } = await writeTinyRun('llama');
  const chat = { ...config, ...settings, data: [...config.data!, { kind: 'talk' as const, file: join(folder, 'talk.jsonl'), weight: 0.3 }] };
  const whole = await train({ ...chat, run: join(folder, 'whole') });
  let result = null;
  let stops = 0;
  // Stopped after one step, then two, …: at every kind of place, checkpoint or not.
  for (let patience = 1; result?.status !== 'finished'; patience++) {
    const controller = new AbortController();
    let steps = 0;
    result = await train({ ...chat, run: join(folder, 'stopped') }, {
      signal: controller.signal,
      onProgress: ({ stage }) => {
        if ((stage === 'joint' || stage === 'states' || stage === 'maps') && ++steps === patience) controller.abort();
      },
    });
    if (result.status === 'interrupted') stops++;
  }
  expect(stops).toBeGreaterThan(3);
  const tensorsOf = (run: string) => {
    const store = openSafetensors(join(run, 'adapter', 'adapter.safetensors'));
    const values = [...store.tensors.keys()].map((name) => [name, createHash('sha256').update(store.readBytes(name)).digest('hex')]);
    store.close();
    return values;
  };
  expect(tensorsOf(join(folder, 'stopped'))).toEqual(tensorsOf(join(folder, 'whole')));
  const steps = (run: string) => metrics(join(folder, run), 'step').map(({ step, loss }) => [step, loss]);
  expect(steps('stopped')).toEqual(steps('whole'));
  expect(whole.best).not.toBeNull();
});

test('a run folder is not resumed with other settings, and a finished one is left as it is', async () => {
  const { config } = await writeTinyRun('opt', { steps: 2, validateEvery: 2 });
  const first = await train(config);
  expect(await train(config)).toMatchObject({ status: 'finished', steps: 2, best: first.best });
  await expect(train({ ...config, lr: 0.1 })).rejects.toMatchObject({ code: 'TRAINING_RESUME', what: expect.stringContaining('lr') });
});

test('a run whose data could not be read takes corrected settings, a folder of something else is left alone', async () => {
  const { folder, config } = await writeTinyRun('opt', { steps: 1, validation: { count: 0 } });
  await expect(train({ ...config, lr: 0.1, data: [{ kind: 'captions', tsv: join(folder, 'none.tsv'), images: folder }] })).rejects.toMatchObject({ code: 'FORMAT_FILE' });
  expect(await train(config)).toMatchObject({ status: 'finished', steps: 1 });
  const model = join(folder, 'model/lm');
  const before = readFileSync(join(model, 'config.json'), 'utf8');
  await expect(train({ ...config, run: model })).rejects.toMatchObject({ code: 'TRAINING_RESUME' });
  expect(readFileSync(join(model, 'config.json'), 'utf8')).toBe(before);
});

test('a run that began before a setting existed, or with more memory, goes on', async () => {
  const { config } = await writeTinyRun('llama', { steps: 2, validation: { count: 0 } });
  const stop = new AbortController();
  await train(config, { signal: stop.signal, onProgress: ({ stage }) => stage === 'joint' && stop.abort() });
  const file = join(config.run, 'config.json');
  const { maskSamePicture: _, ...older } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify(older));
  expect(await train({ ...config, recomputeLayers: 1 })).toMatchObject({ status: 'finished', steps: 2 });
});

test('micro-batches change nothing but the order of sums', async () => {
  const { folder, config } = await writeTinyRun('llama', { steps: 3, validation: { count: 0 } });
  for (const microBatch of [1, 8]) await train({ ...config, microBatch, run: join(folder, String(microBatch)) });
  const [one, all] = [1, 8].map((size) => metrics(join(folder, String(size)), 'step'));
  all!.forEach((step, i) => {
    for (const key of ['captioning', 'retrieval', 'textToImage', 'imageToText', 'gradientNorm']) expect(Math.abs(step[key]! - one![i]![key]!) / Math.abs(step[key]!)).toBeLessThan(1e-4);
  });
});

test('an adapter can be trained further, and training ends early when nothing gets better', async () => {
  const { folder, config } = await writeTinyRun('llama', { steps: 30, validateEvery: 1, patience: 2, lr: 1e-9, bestBy: 'recall10' });
  const result = await train({ ...config, from: join(folder, 'model', 'adapter') });
  expect(result.status).toBe('stopped early');
  expect(result.steps).toBeLessThan(30);
  const before = readAdapterFolder(join(folder, 'model', 'adapter')).tensors;
  const after = readAdapterFolder(result.adapter!).tensors;
  after.visualFc.weight.forEach((value, i) => expect(Math.abs(value - before.visualFc.weight[i]!)).toBeLessThan(1e-6));
});

test('what is wrong with a configuration or its data is said', async () => {
  const { folder, config } = await writeTinyRun('opt');
  await expect(train({ ...config, batchSize: 0 })).rejects.toMatchObject({ code: 'TRAINING_CONFIG' });
  await expect(train({ ...config, run: join(folder, 'a'), data: [{ kind: 'talk', file: join(folder, 'train.tsv') }] })).rejects.toMatchObject({ code: 'TRAINING_DATA' });
  await expect(train({ ...config, run: join(folder, 'b'), data: [{ kind: 'captions', tsv: join(folder, 'train.tsv'), images: join(folder, 'nowhere') }] })).rejects.toMatchObject({ code: 'TRAINING_IMAGES' });
  expect(existsSync(join(folder, 'a', 'adapter'))).toBe(false);
});
