// Keeps account of a comparison: which parts were compared, how far apart they were, and which numbers of
// expected.json were looked at, so that none is passed over in silence.
import type { PartResult } from './types.ts';

/** Keys and indices from the root of expected.json. */
export type Path = readonly (string | number)[];

export interface Closeness {
  /** Relative to the largest entry of the expected tensor. */
  readonly tolerance: number;
  /** Half a unit of the last decimal that the expected numbers were rounded to. */
  readonly rounding: number;
}

interface Part {
  compared: number;
  maxError: number;
  tolerance: number;
  note: string | undefined;
  skipped: string | undefined;
}

export class Ledger {
  readonly #root: unknown;
  readonly #parts = new Map<string, Part>();
  readonly #seen = new Set<string>();

  /**
   * @param expected the parsed expected.json
   * @param parts names that must all be compared
   */
  constructor(expected: unknown, parts: readonly string[]) {
    this.#root = expected;
    for (const name of parts) this.#part(name);
  }

  /** What stands at a path; undefined when nothing does. */
  at(path: Path): unknown {
    let value = this.#root;
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string | number, unknown>)[key];
    }
    return value;
  }

  /** Entries of a list; empty when there is none. */
  list(path: Path): readonly unknown[] {
    const value = this.at(path);
    return Array.isArray(value) ? value : [];
  }

  text(path: Path): string {
    const value = this.at(path);
    return typeof value === 'string' ? value : '';
  }

  /** Numbers that only steer the run (settings): used, with nothing to hold them against. */
  input(path: Path): void {
    this.#see(path);
  }

  /** Compares numbers; nested lists are taken row-major. */
  close(name: string, path: Path, actual: ArrayLike<number>, { tolerance, rounding }: Closeness): void {
    const part = this.#part(name);
    part.tolerance = Math.max(part.tolerance, tolerance);
    const expected = flatten(this.at(path));
    this.#see(path);
    if (expected === null || expected.length === 0 || expected.length !== actual.length) {
      this.fail(name, `${path.join('.')} has ${expected === null ? 'no numbers' : `${expected.length} numbers`}, computed were ${actual.length}`);
      return;
    }
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    let worst = 0;
    for (const [i, value] of expected.entries()) {
      const difference = Math.abs((actual[i] ?? Number.NaN) - value);
      const error = Number.isNaN(difference) ? Number.MAX_VALUE : Math.max(0, difference - rounding) / largest;
      worst = Math.max(worst, error);
    }
    part.compared += expected.length;
    this.#record(part, worst, worst > tolerance, `${path.join('.')} is off by ${worst.toExponential(2)} of its largest entry`);
  }

  /** Compares ids, texts or structures of them exactly. */
  equal(name: string, path: Path, actual: unknown): void {
    const part = this.#part(name);
    const expected = this.at(path);
    this.#see(path);
    if (expected === undefined) {
      this.fail(name, `${path.join('.')} is missing`);
      return;
    }
    const wanted = leaves(expected);
    const given = leaves(actual);
    const length = Math.max(wanted.length, given.length);
    let differences = JSON.stringify(expected) === JSON.stringify(actual) ? 0 : 1;
    if (differences > 0) differences = Math.max(1, Array.from({ length }, (_, i) => wanted[i] !== given[i]).filter(Boolean).length);
    part.compared += Math.max(1, wanted.length);
    this.#record(part, differences, differences > 0, `${path.join('.')} is ${short(expected)}, computed was ${short(actual)}`);
  }

  /** An error measured in another way (a mean, a gap between two logits) against a bar of its own. */
  measure(name: string, what: string, error: number, tolerance: number, compared: number): void {
    const part = this.#part(name);
    part.tolerance = Math.max(part.tolerance, tolerance);
    part.compared += compared;
    const finite = Number.isFinite(error) ? error : Number.MAX_VALUE;
    this.#record(part, finite, finite > tolerance, `${what} is off by ${finite.toExponential(2)}`);
  }

  /** Marks numbers as compared by `measure`. */
  see(path: Path): void {
    this.#see(path);
  }

  fail(name: string, note: string): void {
    const part = this.#part(name);
    part.maxError = Number.MAX_VALUE;
    part.note ??= note;
  }

  /** Leaves a part of the folder out, with everything under a path. */
  skip(name: string, reason: string, path?: Path): void {
    this.#part(name).skipped = reason;
    if (path) this.#see(path);
  }

  /** A result that somebody else worked out over everything under a path. */
  result(name: string, path: Path, result: PartResult): void {
    this.#see(path);
    if ('skipped' in result) {
      this.skip(name, result.skipped);
      return;
    }
    const part = this.#part(name);
    part.tolerance = result.tolerance;
    part.compared += result.compared;
    this.#record(part, result.max_error, !result.ok, result.note ?? 'it is not ok');
  }

  /** All parts; `every_number` says how many numbers of expected.json nobody looked at. */
  finish(): Readonly<Record<string, PartResult>> {
    const numbers = numberPaths(this.#root);
    const missed = numbers.filter((path) => !path.some((_, depth) => this.#seen.has(key(path.slice(0, depth + 1)))));
    const every = this.#part('every_number');
    every.compared = numbers.length - missed.length;
    this.#record(every, missed.length, missed.length > 0, `nobody compared ${missed.slice(0, 3).map((path) => path.join('.')).join(', ')}`);
    const results: Record<string, PartResult> = {};
    for (const [name, part] of this.#parts) {
      if (part.skipped !== undefined) {
        results[name] = { skipped: part.skipped };
        continue;
      }
      const note = part.note ?? (part.compared === 0 ? 'nothing was compared' : undefined);
      const ok = note === undefined;
      results[name] = { compared: part.compared, max_error: part.maxError, tolerance: part.tolerance, ok, ...(note === undefined ? {} : { note }) };
    }
    return results;
  }

  #part(name: string): Part {
    let part = this.#parts.get(name);
    if (part === undefined) this.#parts.set(name, (part = { compared: 0, maxError: 0, tolerance: 0, note: undefined, skipped: undefined }));
    return part;
  }

  #see(path: Path): void {
    this.#seen.add(key(path));
  }

  #record(part: Part, error: number, bad: boolean, note: string): void {
    part.maxError = Math.max(part.maxError, error);
    if (bad) part.note ??= note;
  }
}

function key(path: Path): string {
  return JSON.stringify(path.map(String));
}

/** Null when anything but numbers is inside. */
function flatten(value: unknown): number[] | null {
  if (typeof value === 'number') return [value];
  if (!Array.isArray(value)) return null;
  const numbers: number[] = [];
  for (const entry of value) {
    const inner = flatten(entry);
    if (inner === null) return null;
    for (const number of inner) numbers.push(number);
  }
  return numbers;
}

function leaves(value: unknown): unknown[] {
  return Array.isArray(value) ? value.flatMap(leaves) : typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value];
}

function numberPaths(value: unknown, path: Path = []): Path[] {
  if (typeof value === 'number') return [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => numberPaths(inner, [...path, name]));
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
