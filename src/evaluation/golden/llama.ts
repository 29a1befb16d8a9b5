// A tiny Llama folder against its expected.json: logits and hidden states of every position, greedy ids,
// the loss. Its gradient belongs to the training room.
import { loadLanguageModel } from '../../model/index.ts';
import { argmax, logSoftmaxAt } from '../../tensor/index.ts';
import type { Ledger } from './ledger.ts';
import type { GoldenOptions } from './types.ts';

export const llamaParts = ['ids', 'logits', 'hidden', 'greedy_ids', 'loss', 'input_embedding_gradient'] as const;

/** Compares everything that a llama folder states. */
export async function compareLlama(folder: string, ledger: Ledger, options: GoldenOptions & { readonly cacheDir: string }): Promise<void> {
  const model = await loadLanguageModel({ source: folder, weights: 'fp32', cacheDir: options.cacheDir, ...(options.threads === undefined ? {} : { threads: options.threads }), ...(options.device === undefined ? {} : { device: options.device }) });
  const close = { tolerance: 1e-4, rounding: 5e-7 };
  const { vocabSize, hiddenSize } = model.config;
  try {
    const rows = ledger.list(['input_ids']).map((row) => (Array.isArray(row) ? row.filter((id): id is number => Number.isInteger(id)) : []));
    // Ids are inputs; the check on them is that they are whole and lie in the vocabulary.
    ledger.equal('ids', ['input_ids'], rows.map((row) => row.filter((id) => id >= 0 && id < vocabSize)));
    let loss = 0;
    let terms = 0;
    for (const [i, ids] of rows.entries()) {
      options.onStage?.(`row ${i}`);
      const output = await model.step(model.createCache(1), [{ slot: 0, embeds: model.embed(ids), select: [...ids.keys()] }]);
      ledger.close('logits', ['logits', i], output.logits, close);
      ledger.close('hidden', ['last_hidden', i], output.hidden.get(-1) ?? new Float32Array(ids.length * hiddenSize), close);
      for (const [position, id] of ids.entries()) {
        if (position === 0) continue;
        loss -= logSoftmaxAt(output.logits.subarray((position - 1) * vocabSize, position * vocabSize), id);
        terms++;
      }
    }
    ledger.close('loss', ['causal_lm_loss_both_rows'], [loss / terms], close);
    options.onStage?.('greedy');
    const cache = model.createCache(1);
    const steps = ledger.list(['greedy_after_row_0']).length;
    const greedy: number[] = [];
    let input: readonly number[] = rows[0] ?? [];
    while (greedy.length < steps) {
      const output = await model.step(cache, [{ slot: 0, embeds: model.embed(input), select: [input.length - 1] }]);
      const id = argmax(output.logits);
      greedy.push(id);
      input = [id];
    }
    ledger.equal('greedy_ids', ['greedy_after_row_0'], greedy);
  } finally {
    await model.close();
  }
}
