// Photos out of a tar archive beside the repository; none of them is ever copied into it.
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';

/** The wanted entries by base name, read in one pass. */
export async function extractTar(archive: string, names: readonly string[]): Promise<Map<string, Buffer>> {
  const wanted = new Set(names);
  const found = new Map<string, Buffer>();
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    const name = header.name.split('/').at(-1)!;
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: unknown) => {
      if (wanted.has(name)) chunks.push(chunk as Buffer);
    });
    stream.on('end', () => {
      if (wanted.has(name)) found.set(name, Buffer.concat(chunks));
      next();
    });
  });
  await pipeline(createReadStream(archive), reader);
  return found;
}
