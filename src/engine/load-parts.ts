// What the engine's child process loads by default: a whole FROMAGe model by its preset or folder.
import { loadFromage, type LoadOptions } from '../model/index.ts';
import type { EngineParts } from './parts.ts';

/** @throws FromageError of the model room */
export function loadParts(spec: LoadOptions, onProgress: (done: number) => void): Promise<EngineParts> {
  return loadFromage({ ...spec, onProgress });
}
