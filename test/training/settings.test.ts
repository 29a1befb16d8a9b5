// Lists as a person types them on a command line, and data that cannot be learned from.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { loadFromage, readAdapterFolder } from '../../src/model/index.ts';
import { parseTrainConfig, settingsFrom, train } from '../../src/training/index.ts';
import { writeTinyRun } from './tiny-run.ts';

test('lists may be typed without brackets, texts without quotes', () => {
  expect(settingsFrom({ betas: '0.8,0.9', 'text-layers': '-1', requests: 'Find {}, please' })).toEqual({ betas: [0.8, 0.9], textLayers: [-1], requests: ['Find {}, please'] });
  expect(settingsFrom({ 'text-layers': '[3, -1]', requests: '["Show {}", "I want {}"]' })).toEqual({ textLayers: [3, -1], requests: ['Show {}', 'I want {}'] });
  expect(() => parseTrainConfig({ run: 'r', ...settingsFrom({ 'text-layers': 'last' }) })).toThrow(expect.objectContaining({ code: 'TRAINING_CONFIG' }));
});

test('captions of white space are skipped and counted, and no data at all is said in words', async () => {
  const { folder, config } = await writeTinyRun('opt', { steps: 1, validation: { count: 0 } });
  const tsv = join(folder, 'blank.tsv');
  writeFileSync(tsv, 'caption\timage\n\tred-0.png\n  \tred-1.png\na green one\tgreen-0.png\n');
  const data = [{ kind: 'captions' as const, tsv, images: join(folder, 'images') }];
  expect(await train({ ...config, data })).toMatchObject({ status: 'finished', skippedRows: 2, unreadablePictures: 0 });
  await expect(train({ ...config, run: join(folder, 'none'), data: [] })).rejects.toMatchObject({ code: 'TRAINING_DATA', todo: expect.stringContaining('--data') });
});

test('an adapter made from nothing has [RET] where the model’s own has it, so that both run side by side', async () => {
  const { folder, config } = await writeTinyRun('opt', { steps: 1, validation: { count: 0 } });
  const { adapter } = await train(config);
  const model = await loadFromage({ model: join(folder, 'model'), weights: 'fp32', cacheDir: join(folder, 'cache'), threads: 1 });
  try {
    expect(readAdapterFolder(adapter!).tensors.retTokenId).toBe(model.tokenizer.retTokenId);
    expect(await model.openAdapter(adapter!, 'made')).toMatchObject({ id: 'made' });
  } finally {
    await model.close();
  }
});
