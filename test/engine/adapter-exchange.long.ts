import { expect, test } from '@jest/globals';
import { exchangeAdapters } from './adapter-exchange.ts';
import { tinyEngine, tinyModel } from './tiny-engine.ts';

const model = tinyModel(43);

test('memory stays flat over 1,000 exchanges of adapters', async () => {
  const engine = await tinyEngine(model);
  const grownMb = await exchangeAdapters(engine, model.adapters[1], 1000);
  console.log(`1,000 exchanges of adapters: resident memory grew by ${grownMb.toFixed(1)} MB`);
  expect(grownMb).toBeLessThan(60);
  await engine.close();
});
