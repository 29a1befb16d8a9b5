// Writes an adapter folder in our form. The folder appears whole or not at all and is never changed
// afterwards: another training run is another folder.
import { closeSync, existsSync, fsyncSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FromageError } from '../errors.ts';
import { writeSafetensors } from '../formats/index.ts';
import type { AdapterCard } from './adapter-card.ts';
import { adapterEntries, createAdapter, type AdapterTensors } from './adapter.ts';

/** What the writer of an adapter says of it; sizes come from the tensors. */
export type AdapterFacts = Pick<AdapterCard, 'languageModel' | 'visionEncoder' | 'promptStyle' | 'retOdds' | 'parent' | 'data' | 'metrics'> & Readonly<Record<string, unknown>>;

/**
 * Writes `adapter.safetensors` and `adapter.json` into a new folder.
 *
 * @param folder must not exist; its parent is made when missing
 * @returns the card as written, with `hash` and `visualHash`
 * @throws FromageError `ADAPTER_EXISTS`
 */
export function saveAdapter(folder: string, tensors: AdapterTensors, facts: AdapterFacts): AdapterCard {
  if (existsSync(folder)) throw new FromageError({ code: 'ADAPTER_EXISTS', what: `${folder} is already there`, why: 'an adapter is never overwritten: conversations and indexes refer to it', todo: 'choose another name' });
  const { hash, visualHash } = createAdapter('', tensors);
  const card: AdapterCard = {
    ...facts,
    format: 'fromage-adapter',
    version: 1,
    visualTokens: tensors.visualTokens,
    retrievalDim: tensors.visualFc.outputs,
    textLayers: [...tensors.textLayers],
    retTokenId: tensors.retTokenId,
    hash,
    visualHash,
  };
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(join(dirname(folder), `.${basename(folder)}.`));
  try {
    writeSafetensors(join(temporary, 'adapter.safetensors'), adapterEntries(tensors));
    const json = openSync(join(temporary, 'adapter.json'), 'wx');
    try {
      writeFileSync(json, `${JSON.stringify(card, null, 2)}\n`);
      fsyncSync(json);
    } finally {
      closeSync(json);
    }
    renameSync(temporary, folder);
  } catch (cause) {
    rmSync(temporary, { recursive: true, force: true });
    throw cause;
  }
  return card;
}
