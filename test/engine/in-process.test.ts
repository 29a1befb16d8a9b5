import { engineContract } from '../contracts/engine.ts';
import { tinyEngine, tinyModel } from './tiny-engine.ts';

const model = tinyModel(11);

engineContract('an engine in the calling process', async () => ({
  engine: await tinyEngine(model, { maxRows: 2, maxQueue: 3 }),
  otherAdapter: model.adapters[1],
}));
