// Reads one position out of a step's output under an adapter: the frozen head's logits with [RET] beside
// them, and the retrieval embedding of a [RET].
import type { Adapter, StepOutput } from '../model/types.ts';
import { l2Normalize } from '../tensor/index.ts';

/**
 * Logits over the vocabulary of the adapter's model: `[[RET] + 1]`. As in the reference's resized table,
 * frozen rows behind [RET] are left out; an id without a row of its own is banned.
 *
 * @param into written over and returned where it has the right length: a vocabulary is long, and making
 *   an array for every token costs more than choosing one
 * @returns an array that processors may change
 */
export function logitsAt(output: StepOutput, index: number, adapter: Adapter, vocabSize: number, into?: Float32Array | null): Float32Array {
  const { id } = adapter.ret;
  const logits = into?.length === id + 1 ? into : new Float32Array(id + 1);
  logits.fill(Number.NEGATIVE_INFINITY, Math.min(vocabSize, id));
  logits.set(output.logits.subarray(index * vocabSize, index * vocabSize + Math.min(vocabSize, id)));
  logits[id] = adapter.retLogits(rowOf(output, -1, index, vocabSize), 1)[0] ?? Number.NEGATIVE_INFINITY;
  return logits;
}

/** The hidden state of a [RET]'s own position in the retrieval space: `[retrievalDim]`, unit length. */
export function retEmbeddingAt(output: StepOutput, index: number, adapter: Adapter, vocabSize: number): Float32Array {
  const layers = new Map(adapter.textLayers.map((layer) => [layer, rowOf(output, layer, index, vocabSize)]));
  return l2Normalize(adapter.projectText(layers, 1));
}

/** Inner layers may be wider than the last one, so the width is worked out from the number of rows. */
function rowOf(output: StepOutput, layer: number, index: number, vocabSize: number): Float32Array {
  const hidden = output.hidden.get(layer);
  if (hidden === undefined) throw new RangeError(`the language model gives no hidden states of layer ${layer}; it was opened for others`);
  const width = hidden.length / (output.logits.length / vocabSize);
  return hidden.subarray(index * width, (index + 1) * width);
}
