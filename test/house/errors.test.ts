import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');

function codesInSource(): Set<string> {
  const codes = new Set<string>();
  for (const top of ['src', 'bots']) {
    for (const entry of readdirSync(join(root, top), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.parentPath.includes('generated')) continue;
      const text = readFileSync(join(entry.parentPath, entry.name), 'utf8');
      for (const match of text.matchAll(/'([A-Z]+(?:_[A-Z0-9]+)+|INTERNAL)'/g)) if (/\bcode\??\s*[:=][^,;{}\n]*$/.test(text.slice(Math.max(0, match.index - 120), match.index))) codes.add(match[1]!);
    }
  }
  return codes;
}

const documented = new Set([...readFileSync(join(root, 'ERRORS.md'), 'utf8').matchAll(/^\| ([A-Z][A-Z0-9_]+) \|/gm)].map((match) => match[1]!));
/** Codes of others that the source names: Node's, Prisma's, the platforms'. */
const foreign = /^(E[A-Z]+|P\d+|ERR_.*|SQLITE_.*)$/;

test('every code in the source stands in ERRORS.md', () => {
  const missing = [...codesInSource()].filter((code) => !documented.has(code) && !foreign.test(code)).sort();
  expect(missing).toEqual([]);
});

test('every code in ERRORS.md is raised somewhere', () => {
  const whole = ['src', 'bots']
    .flatMap((top) => readdirSync(join(root, top), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
  expect([...documented].filter((code) => !whole.includes(`'${code}'`)).sort()).toEqual([]);
});
