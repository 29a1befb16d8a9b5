// Named pictures as examples, and the starter gallery's names and keywords.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readSource } from '../../src/training/examples.ts';

test('a picture is asked for by its name and by each of its keywords', async () => {
  const names = join(mkdtempSync(join(tmpdir(), 'names-')), 'names.json');
  writeFileSync(names, JSON.stringify([{ file: 'a.webp', name: 'chestnut', keywords: ['conker', 'nut'] }, { file: 'b.webp', name: 'bell' }]));
  const { examples } = await readSource({ kind: 'named', names, images: 'pictures', weight: 1, captioning: false, retrieval: true });
  expect(examples.map((example) => (example.kind === 'pair' ? [example.caption, example.picture.name, example.isName] : null))).toEqual([
    ['chestnut', 'a.webp', true], ['chestnut', 'a.webp', true], ['conker', 'a.webp', true], ['nut', 'a.webp', true], ['bell', 'b.webp', true],
  ]);
});

test('a keyword of the starter gallery stands for at most three pictures and never for a name', () => {
  const entries = JSON.parse(readFileSync(join(import.meta.dirname, '../../models/starter/gallery.json'), 'utf8')) as { name: string; keywords: string[] }[];
  expect(entries).toHaveLength(1360);
  const names = new Set(entries.map(({ name }) => name));
  const holders = new Map<string, number>();
  for (const word of entries.flatMap(({ keywords }) => keywords)) holders.set(word, (holders.get(word) ?? 0) + 1);
  expect(holders.size).toBeGreaterThan(2000);
  expect([...holders].filter(([word, count]) => count > 3 || names.has(word))).toEqual([]);
  expect(entries.filter(({ keywords }) => keywords.length > 4 || new Set(keywords).size < keywords.length)).toEqual([]);
});
