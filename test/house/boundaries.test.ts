import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { owners, rooms } from './rooms.ts';

const root = resolve(import.meta.dirname, '../..');

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sources(): string[] {
  return ['src', 'bots'].flatMap((top) =>
    existsSync(join(root, top))
      ? readdirSync(join(root, top), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
          .map((entry) => relative(root, join(entry.parentPath, entry.name)))
          .filter((file) => !file.includes('/generated/') && !file.startsWith('src/web/page/'))
      : [],
  );
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s*'([^']+)'/g);
  return [...found].map((match) => ({ file, specifier: match[1] ?? match[2] ?? match[3]! }));
}

/** `src/onnx/run/session.ts` is in the room `onnx`, `src/errors.ts` in `errors`. */
function roomOf(file: string): string {
  const [top, second = ''] = file.split('/');
  return top === 'bots' ? `bots/${second}` : second.replace(/\.ts$/, '');
}

const all = sources().flatMap(importsOf);

test('each room imports only the rooms it may', () => {
  const wrong: string[] = [];
  for (const { file, specifier } of all.filter(({ specifier }) => specifier.startsWith('.'))) {
    const from = roomOf(file);
    const to = roomOf(relative(root, resolve(root, dirname(file), specifier)));
    if (from === to || ['errors', 'log'].includes(to)) continue;
    const allowed = rooms[from];
    if (allowed === undefined) wrong.push(`${file}: the room ${from} is not on the plan`);
    else if (!allowed.includes('*') && !allowed.includes(to)) wrong.push(`${file} imports ${specifier}: ${from} may not use ${to}`);
  }
  expect(wrong).toEqual([]);
});

test('rooms are entered by their door', () => {
  const doors = /\/(index|types|contracts|services)\.ts$|^src\/(errors|log)\.ts$|^bots\/\w+\/main\.ts$/;
  const wrong = all
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ file, specifier }) => ({ file, target: relative(root, resolve(root, dirname(file), specifier)) }))
    .filter(({ file, target }) => roomOf(file) !== roomOf(target) && !doors.test(target))
    .map(({ file, target }) => `${file} -> ${target}`);
  expect(wrong).toEqual([]);
});

test('an outside package has one owner', () => {
  const wrong = all
    .filter(({ specifier }) => !specifier.startsWith('.'))
    .map(({ file, specifier }) => ({ file, name: specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/') }))
    .filter(({ file, name }) => owners[name] !== undefined && owners[name] !== roomOf(file))
    .map(({ file, name }) => `${file} imports ${name}, which belongs to ${owners[name]}`);
  expect(wrong).toEqual([]);
});

test('no two rooms import each other in a circle', () => {
  const edges = new Map<string, Set<string>>();
  for (const { file, specifier } of all.filter(({ specifier }) => specifier.startsWith('.'))) {
    const from = roomOf(file);
    const to = roomOf(relative(root, resolve(root, dirname(file), specifier)));
    if (from !== to) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  }
  const circles: string[] = [];
  const visit = (room: string, path: readonly string[]): void => {
    if (path.includes(room)) circles.push([...path.slice(path.indexOf(room)), room].join(' -> '));
    else for (const next of edges.get(room) ?? []) visit(next, [...path, room]);
  };
  for (const room of edges.keys()) visit(room, []);
  expect([...new Set(circles)]).toEqual([]);
});

test('ARCHITECTURE.md names only paths that exist, and every room', () => {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  const named = [...text.matchAll(/`((?:src|bots|test|prisma|docker|docs)\/[^`*]*)`/g)].map((match) => match[1]!);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const missing = Object.keys(rooms).filter((room) => !['errors', 'log'].includes(room) && !text.includes(room.startsWith('bots/') ? `\`${room}\`` : `\`src/${room}\``));
  expect(missing).toEqual([]);
});
