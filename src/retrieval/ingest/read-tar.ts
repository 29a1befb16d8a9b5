// Pictures of a tar archive, plain or gzipped, read from beginning to end; captions from a TSV or from the
// text or JSON file of the same name that stands next to a picture (WebDataset's layout).
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { FromageError } from '../../errors.ts';
import { readSidecar, type Sidecar } from './sidecar.ts';
import { looksLikePicture, type SourceItem } from './source-item.ts';

const maxEntryBytes = 64 * 2 ** 20;

interface Group {
  readonly stem: string;
  readonly pictures: { readonly name: string; readonly size: number; readonly bytes: Uint8Array | null }[];
  sidecar: Sidecar | null;
}

export async function* readTar(file: string, captions: ReadonlyMap<string, string> | null): AsyncGenerator<SourceItem, void, undefined> {
  const handle = await open(file);
  const magic = new Uint8Array(2);
  await handle.read(magic, 0, 2, 0);
  await handle.close();
  const entries = extract();
  const input = createReadStream(file);
  const unpacked = magic[0] === 0x1f && magic[1] === 0x8b ? input.pipe(createGunzip().on('error', (error) => entries.destroy(error))) : input;
  input.on('error', (error) => entries.destroy(error));
  unpacked.pipe(entries);
  let group: Group | null = null;
  let broken: FromageError | null = null;
  try {
    for await (const entry of entries) {
      const { name, size = 0, type } = entry.header;
      const stem = name.replace(/\.[^./]+$/, '');
      const kind = /\.(txt|json)$/i.exec(name)?.[0].toLowerCase();
      const wanted = type === 'file' && (looksLikePicture(name) || kind !== undefined) && size <= maxEntryBytes;
      const bytes = wanted ? await readAll(entry as AsyncIterable<Uint8Array>) : null;
      if (bytes === null) entry.resume();
      if (type !== 'file') continue;
      if (group !== null && group.stem !== stem) {
        yield* itemsOf(group, captions);
        group = null;
      }
      group ??= { stem, pictures: [], sidecar: null };
      if (looksLikePicture(name)) group.pictures.push({ name, size, bytes });
      else if (kind !== undefined && bytes !== null && !group.sidecar?.caption) group.sidecar = readSidecar(kind, bytes);
    }
  } catch (cause) {
    broken = new FromageError({ code: 'RETRIEVAL_SOURCE', what: `the archive cannot be read: ${(cause as Error).message}`, todo: 'it is damaged or cut off: make it again; what came before is in', cause });
  } finally {
    input.destroy();
    entries.destroy();
  }
  if (group !== null) yield* itemsOf(group, captions);
  if (broken) throw broken;
}

function* itemsOf({ pictures, sidecar }: Group, captions: ReadonlyMap<string, string> | null): Generator<SourceItem> {
  for (const { name, size, bytes } of pictures) {
    const caption = captions?.get(name) ?? captions?.get(basename(name)) ?? sidecar?.caption ?? null;
    const load = () => (bytes ? Promise.resolve(bytes) : Promise.reject(new FromageError({ code: 'FETCH_SIZE', what: `the picture has ${size} bytes`, todo: 'the picture is skipped' })));
    yield { key: `${name} ${size}`, name, source: name, ...sidecar, caption, load };
  }
}

async function readAll(entry: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
