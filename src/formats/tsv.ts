// Captions with their pictures as tab-separated lines under the header `caption<TAB>image`: the form of
// the authors' data, read as a stream for training, evaluation and ingestion.
import { createReadStream } from 'node:fs';
import { FormatError } from './errors.ts';

const MAX_LINE_CHARACTERS = 1_048_576;

export interface CaptionedImage {
  readonly caption: string;
  /** As the file spells it: a path relative to the pictures' folder. */
  readonly image: string;
  /** Counted from 1; the header is line 1. */
  readonly line: number;
}

/**
 * The rows of a TSV file in order, a line at a time. Further columns are allowed and ignored; quotes mean
 * nothing; a last line without a newline counts.
 *
 * @throws FormatError `FORMAT_TSV` with the line number; `FORMAT_FILE` when the file cannot be read
 */
export async function* readTsv(file: string): AsyncGenerator<CaptionedImage, void, undefined> {
  let header: readonly string[] | null = null;
  let number = 0;
  for await (const line of linesOf(file)) {
    number++;
    const fields = line.split('\t');
    if (header === null) {
      header = fields;
      if (!header.includes('caption') || !header.includes('image') || new Set(header).size !== header.length) {
        throw wrong(file, number, `the header is ${JSON.stringify(line.slice(0, 80))}`, 'the first line must be caption<TAB>image');
      }
      continue;
    }
    if (line === '') throw wrong(file, number, 'the line is empty', 'take it out');
    if (fields.length !== header.length) throw wrong(file, number, `the line has ${fields.length} fields, the header ${header.length}`, 'tabs and newlines may not stand in a caption');
    const image = fields[header.indexOf('image')] ?? '';
    if (image === '') throw wrong(file, number, 'the image is empty', 'give its path');
    yield { caption: fields[header.indexOf('caption')] ?? '', image, line: number };
  }
  if (header === null) throw wrong(file, 1, 'the file is empty', 'the first line must be caption<TAB>image');
}

async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let number = 1;
  const stream = createReadStream(file);
  try {
    for await (const chunk of stream) {
      rest += decode(decoder, chunk as Uint8Array, file, number);
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        number++;
        yield line.endsWith('\r') ? line.slice(0, -1) : line;
      }
      if (rest.length > MAX_LINE_CHARACTERS) throw wrong(file, number, `the line is longer than ${MAX_LINE_CHARACTERS} characters`, 'is it a TSV file?');
    }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError({ code: 'FORMAT_FILE', file, what: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause });
  } finally {
    stream.destroy();
  }
  rest += decode(decoder, null, file, number);
  if (rest !== '') yield rest.endsWith('\r') ? rest.slice(0, -1) : rest;
}

function decode(decoder: InstanceType<typeof TextDecoder>, chunk: Uint8Array | null, file: string, line: number): string {
  try {
    return chunk === null ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw wrong(file, line, 'the text is not UTF-8 here or shortly after', 'save the file as UTF-8');
  }
}

function wrong(file: string, line: number, what: string, todo: string): FormatError {
  return new FormatError({ code: 'FORMAT_TSV', file, what: `line ${line}: ${what}`, todo });
}
