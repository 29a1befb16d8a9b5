// Figures as the cells of a report's tables.
import type { ClipBaseline } from '../data/clip.ts';
import type { Comparison, Intervals, Recalls } from '../types.ts';
import type { ReportSection, ReportTable } from './page.ts';

const none = '–';

/** `14.4 (12.1–16.8)`. */
export function cell(value: number | null | undefined, interval?: readonly [number, number]): string {
  if (value === null || value === undefined || Number.isNaN(value)) return none;
  // Word joiners: a line may end before the interval, not inside it.
  return interval ? `${short(value)} (${short(interval[0])}\u2060–\u2060${short(interval[1])})` : short(value);
}

export function recallRow(name: string, values: Recalls | null, intervals?: Intervals): string[] {
  if (values === null) return [name, none, none, none, none];
  return [name, cell(values.r1, intervals?.r1), cell(values.r5, intervals?.r5), cell(values.r10, intervals?.r10), String(values.median_rank)];
}

/** The baseline's name, or why it has no figures. */
export function clipName({ clip_absent }: ClipBaseline<unknown>): string {
  return clip_absent === null ? 'CLIP’s own similarity' : `CLIP’s own similarity (none: ${clip_absent})`;
}

export const recallHead = ['', 'R@1', 'R@5', 'R@10', 'median rank'] as const;

const names: Readonly<Record<string, string>> = { r1: 'R@1', r5: 'R@5', r10: 'R@10', mrr: 'MRR', cider: 'CIDEr', rouge_l: 'ROUGE-L', accuracy: 'both right' };

/** Figures of two adapters, or of two prompts, side by side and in words. */
export function comparisonTable(comparisons: Readonly<Record<string, Comparison>>, [first, second]: readonly [string, string]): ReportTable {
  return {
    head: ['', first, second, 'difference', '95 % interval', ''],
    rows: Object.entries(comparisons).map(([name, each]) => [names[name] ?? name, short(each.first), short(each.second), signed(each.difference), `${signed(each.low)} to ${signed(each.high)}`, verdict(each)]),
  };
}

export function comparisonSection(title: string, comparisons: Readonly<Record<string, Comparison>>): ReportSection {
  return { title, text: 'The second adapter less the first, on the same queries; resampled in pairs.', table: comparisonTable(comparisons, ['first', 'second']) };
}

/** "better by 2.1 ± 0.8". */
export function verdict({ difference, plus_minus, significant }: Comparison): string {
  if (!significant) return `no difference can be told (± ${short(plus_minus)})`;
  return `${difference > 0 ? 'better' : 'worse'} by ${short(Math.abs(difference))} ± ${short(plus_minus)}`;
}

function short(value: number): string {
  return value.toFixed(1);
}

function signed(value: number): string {
  return `${value > 0 ? '+' : value < 0 ? '−' : ''}${short(Math.abs(value))}`;
}
