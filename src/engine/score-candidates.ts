// How likely each of several continuations is after one prompt. What all of them share is read once and
// handed to every row as a snapshot; the rest runs as a ragged batch.
import { FromageError } from '../errors.ts';
import type { KvSnapshot, StepOutput, StepRow } from '../model/types.ts';
import { logSoftmaxAt } from '../tensor/index.ts';
import type { BulkContext } from './embed-prompts.ts';
import { logitsAt } from './outputs.ts';
import { preparePrompt } from './prepare.ts';
import type { PromptRows } from './prompt-rows.ts';
import type { Prompt } from './types.ts';

/** Positions whose logits are held at once. */
const unitPositions = 64;

interface Sum {
  total: number;
  count: number;
}

/**
 * Mean token log-likelihood of prompt and candidate together: every token but the first counts, positions
 * of pictures do not.
 * Source: reference `get_log_lik_scores` (the negative loss with pictures' labels at −100).
 *
 * @throws FromageError `ENGINE_REQUEST` when a sequence has no token to score
 */
export async function scoreCandidates(context: BulkContext, prompt: Prompt, candidates: readonly string[]): Promise<readonly number[]> {
  if (candidates.length === 0) return [];
  const { cache } = context;
  const whole: PromptRows[] = [];
  for (const candidate of candidates) whole.push(await withCandidate(context, prompt, candidate));
  const shared = sharedLength(whole);
  const sharedSum: Sum = { total: 0, count: 0 };
  let snapshot: KvSnapshot | null = null;
  let lastLogits: Float32Array | null = null;
  if (shared > 0) {
    cache.truncate(0, 0);
    lastLogits = await readShared(context, whole[0]!, shared, sharedSum);
    snapshot = cache.snapshot(0, shared);
  }
  const scores: number[] = [];
  for (let first = 0; first < whole.length; first += cache.slots) {
    const group = whole.slice(first, first + cache.slots);
    group.forEach((_, slot) => (snapshot === null ? cache.truncate(slot, 0) : cache.restore(slot, snapshot, shared)));
    const sums = group.map((rows): Sum => {
      const sum = { ...sharedSum };
      if (lastLogits !== null) count(sum, lastLogits, rows.labels[shared]);
      return sum;
    });
    await readGroup(context, group, sums);
    for (const sum of sums) {
      if (sum.count === 0) throw new FromageError({ code: 'ENGINE_REQUEST', what: 'there is no token to score', why: 'the first position has nothing before it, and pictures carry no label', todo: 'send a prompt or a longer candidate' });
      scores.push(sum.total / sum.count);
    }
  }
  return scores;
}

async function withCandidate({ parts, adapter, features }: BulkContext, prompt: Prompt, candidate: string): Promise<PromptRows> {
  if (prompt.kind === 'segments') {
    const segments = [...prompt.segments, { type: 'text' as const, text: candidate }];
    return (await preparePrompt({ kind: 'segments', segments }, 0, adapter, parts, features)).prompt;
  }
  const ids = parts.encodeContinuation(candidate);
  return (await preparePrompt(prompt, ids.length, adapter, parts, features, ids)).prompt;
}

/** Positions that all begin with; each row keeps at least one position of its own, if only the last. */
function sharedLength(rows: readonly PromptRows[]): number {
  const [first, ...rest] = rows;
  let shared = (first?.length ?? 0) - 1;
  for (const other of rest) {
    const limit = Math.min(shared, other.length - 1);
    let same = 0;
    while (same < limit && other.keys[same] === first?.keys[same]) same++;
    shared = same;
  }
  return Math.max(0, shared);
}

/** @returns logits of the last shared position, which foretell each row's own first token */
async function readShared({ parts, adapter, work, cache }: BulkContext, rows: PromptRows, shared: number, sum: Sum): Promise<Float32Array> {
  const { vocabSize } = parts.languageModel.config;
  let last: Float32Array | null = null;
  for (let start = 0; start < shared; start += unitPositions) {
    const end = Math.min(shared, start + unitPositions);
    await work.unit(async () => {
      const select = Array.from({ length: end - start }, (_, offset) => offset).filter((offset) => start + offset === shared - 1 || isToken(rows.labels[start + offset + 1]));
      const output = await parts.languageModel.step(cache, [{ slot: 0, embeds: rows.embeds(start, end), select }]);
      select.forEach((offset, index) => {
        const logits = logitsAt(output, index, adapter, vocabSize);
        if (start + offset === shared - 1) last = logits;
        else count(sum, logits, rows.labels[start + offset + 1]);
      });
    });
  }
  return last!;
}

async function readGroup({ parts, adapter, work, cache }: BulkContext, group: readonly PromptRows[], sums: readonly Sum[]): Promise<void> {
  const { vocabSize } = parts.languageModel.config;
  for (;;) {
    // The last position foretells nothing that has a label.
    const open = group.map((rows, slot) => ({ rows, slot })).filter(({ rows, slot }) => cache.length(slot) < rows.length - 1);
    if (open.length === 0) return;
    const share = Math.max(1, Math.floor(unitPositions / open.length));
    await work.unit(async () => {
      const starts = open.map(({ slot }) => cache.length(slot));
      const steps = open.map(({ rows, slot }, row): StepRow => {
        const start = starts[row]!;
        const end = Math.min(rows.length - 1, start + share);
        const select = Array.from({ length: end - start }, (_, offset) => offset).filter((offset) => isToken(rows.labels[start + offset + 1]));
        return { slot, embeds: rows.embeds(start, end), select };
      });
      const output: StepOutput = await parts.languageModel.step(cache, steps);
      let index = 0;
      steps.forEach(({ select, slot }, row) => {
        for (const offset of select) count(sums[slot]!, logitsAt(output, index++, adapter, vocabSize), open[row]!.rows.labels[starts[row]! + offset + 1]);
      });
    });
  }
}

function count(sum: Sum, logits: Float32Array, label: number | undefined): void {
  if (label === undefined || !isToken(label)) return;
  sum.total += logSoftmaxAt(logits, label);
  sum.count++;
}

function isToken(label: number | undefined): boolean {
  return label !== undefined && label >= 0;
}
