// The configured model without loading it: its files against their checksums, and its needs against the
// machine's memory.
import { freemem } from 'node:os';
import { cacheFolder, modelOptions } from '../../app/index.ts';
import type { Config } from '../../config/index.ts';
import { estimateNeeds, findSources } from '../../model/index.ts';
import { machineMemory } from '../models/pull-plan.ts';
import { bytesText } from '../models/units.ts';
import { type Check, checked } from './check.ts';

export function checkModelFiles(config: Config): Promise<Check> {
  return checked('model files', async () => {
    const { name, languageModel, visionEncoder, adapter } = await findSources({ ...modelOptions(config), verify: 'always', cacheDir: cacheFolder(config) });
    return { state: 'ok', found: `${name}: language model, vision encoder and adapter are here; what model.json lists has the right SHA-256`, figures: { languageModel, visionEncoder, adapter } };
  });
}

export function checkMemory(config: Config): Promise<Check> {
  return checked('memory', async () => {
    const { languageModel, visionEncoder } = await findSources({ ...modelOptions(config), verify: 'never' });
    const parts = [languageModel, visionEncoder].map((source) => estimateNeeds(source, config.FROMAGE_WEIGHTS));
    const needed = parts.reduce((sum, part) => sum + (part?.memoryBytes ?? 0), 0);
    const machine = machineMemory();
    const figures = { needed_bytes: Math.round(needed), machine_bytes: machine, free_bytes: freemem(), weights: parts[0]?.scheme };
    const found = `the model needs about ${bytesText(needed)} (with a conversation that fills its context); this machine has ${bytesText(machine)}, ${bytesText(freemem())} free`;
    if (needed > machine) return { state: 'fail', found, figures, todo: 'use FROMAGE_WEIGHTS=q4, a smaller model or a larger machine' };
    return needed > freemem() ? { state: 'warn', found, figures, todo: 'close other programs if answers become slow' } : { state: 'ok', found, figures };
  });
}
