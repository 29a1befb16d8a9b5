// Turns the engine's stream of one request into an interleaved answer: text as it comes, pictures at
// their [RET], the honest absence of one, and at the end all that is needed to store and repeat it.
import type { Engine, GenerateRequest } from '../engine/types.ts';
import type { Gallery, ImageFilter, ScoredPicture } from '../retrieval/types.ts';
import type { ComposedAnswer, AnswerPart, NoPictureReason, ServedRet, AnswerPicture } from './types.ts';

export interface ComposeOptions {
  readonly engine: Pick<Engine, 'generate'>;
  /** Null when there is no gallery: every [RET] then ends in `no_picture`. */
  readonly gallery: Pick<Gallery, 'find'> | null;
  readonly request: GenerateRequest;
  /** What this chat may see. */
  readonly filter: ImageFilter;
  /** Pictures per [RET], 1 by default; 0 shows none. */
  readonly maxImgPerRet?: number;
  /** Picture ids already shown in the conversation that must not come again. */
  readonly exclude?: ReadonlySet<string>;
  /** Cosine below which there is no good picture; the gallery's calibrated one when absent. */
  readonly scoreThreshold?: number;
  /** Told when the gallery fails; the answer goes on without pictures. */
  readonly onGalleryError?: (error: unknown) => void;
}

/** The stream of one answer, in order; `end` is always the last, unless the iterator throws. */
export type AnswerEvent =
  /** 1 = next. */
  | { readonly type: 'queued'; readonly position: number }
  | { readonly type: 'started'; readonly promptTokens: number; readonly cachedTokens: number; readonly droppedTurns: number }
  | { readonly type: 'text'; readonly text: string }
  /** `after`: offset in the answer's text so far, UTF-16 units; `ret`: index of the [RET] in this answer. */
  | { readonly type: 'pictures'; readonly ret: number; readonly after: number; readonly pictures: readonly ScoredPicture[] }
  | { readonly type: 'no_picture'; readonly ret: number; readonly after: number; readonly reason: NoPictureReason }
  | { readonly type: 'end'; readonly answer: ComposedAnswer };

/**
 * Runs one request and yields its answer. White space around the whole text is dropped, inner white
 * space stays. A picture shown once in this answer is never shown again in it.
 *
 * @throws whatever `engine.generate` throws (`ENGINE_BUSY`, `ENGINE_CRASHED`, …)
 */
export async function* composeAnswer(options: ComposeOptions): AsyncGenerator<AnswerEvent, void, undefined> {
  const { engine, gallery, request, filter } = options;
  const maxImgPerRet = options.maxImgPerRet ?? 1;
  const shown = new Set(options.exclude ?? []);
  const parts: AnswerPart[] = [];
  const rets: ServedRet[] = [];
  let text = '';
  /** White space that is shown only if text follows it. */
  let held = '';

  const append = (added: string): void => {
    const last = parts.at(-1);
    if (last?.type === 'text') parts[parts.length - 1] = { type: 'text', text: last.text + added };
    else parts.push({ type: 'text', text: added });
    text += added;
  };

  for await (const event of engine.generate(request)) {
    switch (event.type) {
      case 'queued':
      case 'started':
        yield event;
        break;
      case 'text': {
        const raw = held + event.text;
        const visible = text === '' && parts.length === 0 ? raw.trimStart() : raw;
        const body = visible.trimEnd();
        held = visible.slice(body.length);
        if (body !== '') {
          append(body);
          yield { type: 'text', text: body };
        }
        break;
      }
      case 'ret': {
        const ret = rets.length;
        rets.push({ after: text.length, probability: event.probability, embedding: [...event.embedding].map(roundSix) });
        if (maxImgPerRet < 1) break;
        const found = await findPictures(options, gallery, filter, event.embedding, shown, maxImgPerRet);
        if (Array.isArray(found)) {
          for (const picture of found) shown.add(picture.id);
          parts.push({ type: 'pictures', ret, pictures: found.map(answerPicture) });
          yield { type: 'pictures', ret, after: text.length, pictures: found };
        } else {
          parts.push({ type: 'no_picture', ret, reason: found });
          yield { type: 'no_picture', ret, after: text.length, reason: found };
        }
        break;
      }
      case 'end':
        yield {
          type: 'end',
          answer: {
            parts,
            text,
            rets,
            reason: event.reason,
            seed: event.seed,
            decoding: request.decoding ?? {},
            maxImgPerRet,
            adapter: event.adapter,
            retProbability: event.retProbability,
            tokenCount: event.tokenIds.length,
            usage: event.usage,
          },
        };
        break;
      default:
        event satisfies never;
    }
  }
}

async function findPictures(
  options: ComposeOptions,
  gallery: Pick<Gallery, 'find'> | null,
  filter: ImageFilter,
  vector: Float32Array,
  exclude: ReadonlySet<string>,
  limit: number,
): Promise<ScoredPicture[] | NoPictureReason> {
  if (!gallery) return 'gallery_unavailable';
  const { scoreThreshold, request } = options;
  try {
    const hits = await gallery.find({
      vector,
      filter,
      exclude,
      limit,
      ...(scoreThreshold === undefined ? {} : { scoreThreshold }),
      ...(request.adapter === undefined ? {} : { adapter: request.adapter }),
    });
    const fresh = hits.filter((picture) => !exclude.has(picture.id)).slice(0, limit);
    return fresh.length > 0 ? fresh : 'nothing_good_enough';
  } catch (error) {
    options.onGalleryError?.(error);
    return 'gallery_unavailable';
  }
}

/** What is kept of a picture that was shown. */
export function answerPicture(picture: ScoredPicture): AnswerPicture {
  const { id, hash, alt, caption, source, licence, mimeType, width, height, score } = picture;
  return { id, hash, alt, caption, source, licence, mimeType, width, height, score };
}

function roundSix(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
