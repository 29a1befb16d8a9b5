// Ranks of many queries, each scored against every candidate. Works in turns, so that a process that also
// serves people stays quick.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { dot } from '../../tensor/index.ts';
import { rankAmong } from './ranking.ts';

/** Milliseconds of work before others get their turn. */
const turnMs = 8;

export interface RankedQueries {
  readonly queries: number;
  readonly candidates: number;
  /** Writes the scores of all candidates, larger is better. */
  readonly score: (query: number, scores: Float32Array) => void;
  /** Indices of the right candidates, one at least. */
  readonly right: (query: number) => readonly number[];
  readonly signal?: AbortSignal | undefined;
}

/** @returns the rank (from 1) of each query's best right candidate; ties as `rankAmong` */
export async function rankQueries({ queries, candidates, score, right, signal }: RankedQueries): Promise<number[]> {
  const scores = new Float32Array(candidates);
  const ranks: number[] = [];
  let began = performance.now();
  for (let query = 0; query < queries; query++) {
    score(query, scores);
    ranks.push(rankAmong(scores, right(query)));
    if (performance.now() - began < turnMs) continue;
    await nextTurn();
    signal?.throwIfAborted();
    began = performance.now();
  }
  return ranks;
}

/** Scores by inner product: cosines where the vectors have unit length. */
export function byProduct(queries: readonly Float32Array[], candidates: readonly Float32Array[]): RankedQueries['score'] {
  return (query, scores) => {
    const vector = queries[query]!;
    for (let i = 0; i < scores.length; i++) scores[i] = dot(vector, 0, candidates[i]!, 0, vector.length);
  };
}
