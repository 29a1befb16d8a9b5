// How eager [RET] is, as the adapter itself says: a factor on its odds that people's conversations take and
// the reference's decoding does not.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { asked, collect } from './collect.ts';
import { tinyEngine, tinyModel } from './tiny-engine.ts';

const model = tinyModel(43);

test('the adapter’s factor counts where odds are scaled, and only there', async () => {
  const engine = await tinyEngine(model);
  const [own] = (await engine.info()).adapters;
  const withOdds = async (retOdds: number): Promise<string> => {
    const folder = join(model.folder, `odds-${retOdds}`);
    cpSync(model.adapters[0], folder, { recursive: true });
    const file = join(folder, 'adapter.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), retOdds }));
    return (await engine.loadAdapter(folder, `odds-${retOdds}`)).id;
  };
  const pictures = async (adapter: string, retScaleMode: 'odds' | 'reference', retScaleFactor = 1): Promise<number> =>
    (await collect(engine, { prompt: asked('Hello'), adapter, decoding: { maxNewTokens: 6, temperature: 0, minWordTokens: 0, retScaleMode, retScaleFactor } })).events.filter(({ type }) => type === 'ret').length;
  const [eager, shy] = [await withOdds(1e12), await withOdds(1e-12)];
  expect(await pictures(eager, 'odds')).toBeGreaterThan(0);
  expect(await pictures(shy, 'odds')).toBe(0);
  // A request's own factor comes on top.
  expect(await pictures(shy, 'odds', 1e24)).toBeGreaterThan(0);
  const plain = await pictures(own!.id, 'reference');
  expect(await pictures(eager, 'reference')).toBe(plain);
  expect(await pictures(shy, 'reference')).toBe(plain);
  await engine.close();
});
