// Pictures named by JSON lines: {"image": path or address, "caption", "source", "licence", "tags", "contentClass"}.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { FromageError } from '../../errors.ts';
import { placed } from './placed.ts';
import { aboutOf, aboutSchema } from './sidecar.ts';
import type { SourceItem } from './source-item.ts';

const maxLine = 65_536;
const schema = aboutSchema.extend({ image: z.string().trim().min(1).max(4096).optional(), url: z.string().trim().min(1).max(4096).optional() });

/** A line that is wrong is an item that cannot be loaded: the others go on. */
export async function* readJsonl(file: string, fetchPicture: ((url: string) => Promise<Uint8Array>) | undefined): AsyncGenerator<SourceItem, void, undefined> {
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === '') continue;
    const about = parse(line);
    const image = about instanceof Error ? undefined : (about.image ?? about.url);
    if (about instanceof Error || image === undefined) {
      const why = about instanceof Error ? about.message : 'it names no image';
      yield { key: `line ${number}`, name: `line ${number}`, caption: null, load: () => Promise.reject(new FromageError({ code: 'RETRIEVAL_SOURCE', what: `line ${number} is wrong: ${why}`, todo: 'write {"image": "path or address", "caption": "…"}' })) };
      continue;
    }
    yield { ...(await placed(file, image, fetchPicture)), ...aboutOf(about) };
  }
}

function parse(line: string): z.output<typeof schema> | Error {
  if (line.length > maxLine) return new Error(`it has ${line.length} characters`);
  try {
    const checked = schema.safeParse(JSON.parse(line));
    return checked.success ? checked.data : new Error(checked.error.issues[0]?.message ?? 'it has another form');
  } catch {
    return new Error('it is no JSON');
  }
}
