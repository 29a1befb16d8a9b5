// Any pickle as inert values, for looking into a file: what a checkpoint or an embeddings file holds.
import { WeightFile } from './byte-range.ts';
import { PickleBudget } from './pickle/budget.ts';
import { CHECKPOINT_BUDGET_BYTES, unpickle } from './pickle/reader.ts';
import type { PickleValue } from './pickle/values.ts';
import { closingOnError } from './store.ts';
import { readLegacyTorch } from './torch-legacy.ts';

/** A pickle's value; byte strings in it are ranges of the file, readable until `close`. */
export interface OpenPickle {
  readonly value: PickleValue;
  close(): void;
}

/**
 * Reads one pickle of protocol 0 to 5. It executes nothing: opcodes and classes come from closed lists.
 *
 * @throws FormatError `FORMAT_FORBIDDEN` for anything else
 */
export function readPickle(path: string): OpenPickle {
  return closingOnError(new WeightFile(path), (file) => {
    const budget = new PickleBudget(CHECKPOINT_BUDGET_BYTES);
    const { value } = unpickle(file.range(), 0, { budget, nested: (bytes) => readLegacyTorch(bytes, budget) });
    return { value, close: () => file.close() };
  });
}
