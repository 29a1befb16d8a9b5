// The result of a comparison as a table for people.
import type { GoldenResult } from './types.ts';

/** Lines of a table, each with its line break. */
export function printGolden(result: GoldenResult): string {
  const header = ['part', 'compared', 'max error', 'tolerance', ''];
  const rows = Object.entries(result.parts).map(([name, part]) =>
    'skipped' in part ? [name, '–', '–', '–', `skipped ${part.skipped}`] : [name, String(part.compared), figure(part.max_error), figure(part.tolerance), part.ok ? 'ok' : `FAILED: ${part.note ?? ''}`],
  );
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => row.map((cell, column) => (column === 0 || column === 4 ? cell.padEnd(column === 4 ? 0 : (widths[0] ?? 0)) : cell.padStart(widths[column] ?? 0))).join('  ').trimEnd();
  return `${[header, ...rows].map(line).join('\n')}\n${result.ok ? 'All parts agree.' : 'Some parts differ.'}\n`;
}

function figure(value: number): string {
  if (value === Number.MAX_VALUE) return '∞';
  return Number.isInteger(value) ? String(value) : value.toExponential(1);
}
