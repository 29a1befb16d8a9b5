// `fromage generate`: one prompt from a file, one answer; the scriptable way to the model.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { openEngine, openSessionGallery } from '../../app/index.ts';
import { type AnswerEvent, composeAnswer } from '../../chat/index.ts';
import type { Prompt, PromptSegment, PromptStyle } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';

const promptSchema = z.array(z.union([z.strictObject({ text: z.string() }), z.strictObject({ image: z.string() })])).min(1);

interface GenerateOptions extends Record<string, unknown> {
  readonly prompt: string;
  readonly style: string;
  readonly maxTokens: string;
  readonly temperature: string;
  readonly topP: string;
  readonly seed?: string;
  readonly retScale: string;
  readonly minWords: string;
  readonly maxRets: string;
  readonly forceRet?: boolean;
  readonly gallery?: string | boolean;
  readonly json?: boolean;
}

export async function generate(options: GenerateOptions): Promise<void> {
  const config = configuration(options);
  const signal = interruptSignal();
  const segments = await readPrompt(options.prompt);
  const engine = await openEngine(config);
  try {
    await engine.ready();
    const bar = createProgress('encoding the gallery', 'pictures', options.json);
    const gallery = options.gallery === false ? null : await openSessionGallery(config, engine, (done, total) => bar.update(done, total), signal);
    bar.end();
    const events = composeAnswer({
      engine,
      gallery: gallery?.gallery ?? null,
      filter: { tenants: ['all'] },
      request: {
        prompt: promptOf(segments, options.style),
        decoding: {
          maxNewTokens: number('--max-tokens', options.maxTokens),
          temperature: number('--temperature', options.temperature),
          topP: number('--top-p', options.topP),
          retScaleFactor: number('--ret-scale', options.retScale),
          minWordTokens: number('--min-words', options.minWords),
          maxNumRets: number('--max-rets', options.maxRets),
          ...(options.forceRet ? { forceRet: true } : {}),
        },
        ...(options.seed === undefined ? {} : { seed: number('--seed', options.seed) }),
        signal,
      },
    });
    await print(events, options.json ?? false);
    await gallery?.close();
  } finally {
    await engine.close();
  }
}

async function print(events: AsyncIterable<AnswerEvent>, json: boolean): Promise<void> {
  for await (const event of events) {
    if (event.type === 'text' && !json) process.stdout.write(event.text);
    if (event.type === 'pictures' && !json) for (const { alt, score, source } of event.pictures) process.stdout.write(`\n[picture: ${alt} (${score.toFixed(3)}, ${source ?? 'no source'})]\n`);
    if (event.type === 'no_picture' && !json) process.stdout.write('\n[no picture is good enough]\n');
    if (event.type === 'end') process.stdout.write(json ? `${JSON.stringify(event.answer)}\n` : '\n');
  }
}

function promptOf(segments: PromptSegment[], style: string): Prompt {
  if (!['qa', 'chat', 'plain'].includes(style)) throw new FromageError({ code: 'CLI_OPTION', what: `--style ${style} is not known`, todo: 'use qa, chat or plain' });
  if (style === 'plain') return { kind: 'segments', segments };
  return { kind: 'turns', style: style as PromptStyle, turns: [{ role: 'user', parts: segments }] };
}

async function readPrompt(file: string): Promise<PromptSegment[]> {
  const folder = file === '-' ? process.cwd() : dirname(resolve(file));
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'));
  } catch (cause) {
    throw new FromageError({ code: 'CLI_PROMPT', what: `the prompt ${file} cannot be read: ${(cause as Error).message}`, todo: 'give a JSON file: [{"text":"What is this?"},{"image":"photo.jpg"}]', cause });
  }
  const prompt = promptSchema.safeParse(parsed);
  if (!prompt.success) throw new FromageError({ code: 'CLI_PROMPT', what: `the prompt ${file} is not a list of {"text":…} and {"image":path}: ${prompt.error.issues[0]?.message}`, todo: 'give a JSON file: [{"text":"What is this?"},{"image":"photo.jpg"}]' });
  return Promise.all(
    prompt.data.map(async (part): Promise<PromptSegment> => {
      if ('text' in part) return { type: 'text', text: part.text };
      const bytes = await readFile(resolve(folder, part.image)).catch((cause: Error) => {
        throw new FromageError({ code: 'CLI_PROMPT', what: `the picture ${part.image} cannot be read: ${cause.message}`, cause });
      });
      return { type: 'image', image: { bytes: new Uint8Array(bytes) } };
    }),
  );
}

/** @throws FromageError `CLI_OPTION` */
export function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new FromageError({ code: 'CLI_OPTION', what: `${name} ${text} is not a number` });
  return value;
}
