// JSON from files: depth and repeated keys are checked before parsing, because JSON.parse keeps the last
// of two equal keys without a word.
import { FormatError } from './errors.ts';

const MAX_DEPTH = 16;

/**
 * @param text JSON whose root is an object
 * @param offset where the text begins in the file, for errors
 */
export function parseJsonObject(text: string, file: string, offset = 0): Record<string, unknown> {
  checkKeys(text, file, offset);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ code: 'FORMAT_INVALID', file, offset, what: `is not valid JSON: ${cause instanceof Error ? cause.message : ''}`, cause });
  }
  if (!isRecord(value)) throw new FormatError({ code: 'FORMAT_INVALID', file, offset, what: 'the JSON is not an object' });
  return value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own property only: a tensor called `constructor` is not Object's. */
export function own(record: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** One walk over the characters: strings followed by a colon are keys of the innermost object. */
function checkKeys(text: string, file: string, offset: number): void {
  const keys: Set<string>[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;
  const colon = /\s*:/y;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const found = match[0];
    if (found === '{' || found === '[') {
      if (keys.length >= MAX_DEPTH) throw new FormatError({ code: 'FORMAT_LIMIT', file, offset: offset + match.index, what: `JSON is nested deeper than ${MAX_DEPTH}` });
      keys.push(new Set());
    } else if (found === '}' || found === ']') {
      keys.pop();
    } else {
      colon.lastIndex = token.lastIndex;
      const seen = keys.at(-1);
      if (seen === undefined || !colon.test(text)) continue;
      // An escape can spell a key in two ways, so the decoded forms are compared.
      const key = found.includes('\\') ? decode(found) : found;
      if (seen.has(key)) throw new FormatError({ code: 'FORMAT_DUPLICATE', file, offset: offset + match.index, what: `the key ${found} stands twice` });
      seen.add(key);
    }
  }
}

/** The quoted string with its escapes undone; a bad escape is left for JSON.parse to refuse. */
function decode(quoted: string): string {
  try {
    return `"${String(JSON.parse(quoted))}"`;
  } catch {
    return quoted;
  }
}
