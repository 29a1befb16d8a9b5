// Reads a chat completion request: OpenAI's fields, and ours for what only FROMAGe has. Pictures come as
// data URLs; the server never fetches an address that a client names.
import { z } from 'zod';
import { FromageError } from '../../errors.ts';
import type { DecodingOptions, PromptSegment, PromptTurn } from '../../engine/types.ts';

/** Base64 of the largest picture that the decoder takes (20 MB). */
const maxDataUrl = 28_000_000;

const textPart = z.object({ type: z.literal('text'), text: z.string().max(200_000) });
const imagePart = z.object({ type: z.literal('image_url'), image_url: z.union([z.object({ url: z.string().max(maxDataUrl) }), z.string().max(maxDataUrl)]) });

/** A picture that an earlier answer showed, as the answer gave it: where its [RET] stood, and which it was. */
const shownImage = z.looseObject({ after: z.number().int().min(0).optional(), image_url: z.looseObject({ url: z.string().max(2000) }).optional() });

const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string().max(200_000), z.array(z.union([textPart, imagePart])).max(64), z.null()]).optional(),
  images: z.array(shownImage).max(16).optional(),
});

export const chatRequestSchema = z.looseObject({
  model: z.string().max(200).optional(),
  messages: z.array(message).min(1).max(1000),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  n: z.literal(1, 'only one answer at a time: n must be 1').nullish(),
  max_tokens: z.number().int().min(1).max(4096).nullish(),
  max_completion_tokens: z.number().int().min(1).max(4096).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.number().int().min(0).nullish(),
  repetition_penalty: z.number().min(0.5).max(2).nullish(),
  seed: z.number().int().min(0).nullish(),
  stop: z.union([z.string().max(100), z.array(z.string().max(100)).max(4)]).nullish(),
  user: z.string().max(200).nullish(),
  ret_scale_factor: z.number().min(0).max(10).nullish(),
  min_word_tokens: z.number().int().min(0).max(512).nullish(),
  max_num_rets: z.number().int().min(0).max(8).nullish(),
  max_img_per_ret: z.number().int().min(0).max(10).nullish(),
  force_ret: z.boolean().nullish(),
  adapter: z.string().max(200).nullish(),
});

export type ChatRequest = z.output<typeof chatRequestSchema>;

/** @throws FromageError `WEB_BAD_REQUEST` that names the first field that is wrong */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw badRequest(`${issue?.path.join('.') || 'the body'}: ${issue?.message ?? 'not understood'}`);
}

export function badRequest(what: string): FromageError {
  return new FromageError({ code: 'WEB_BAD_REQUEST', what });
}

/** Bytes of a gallery picture by its id; null when it is not there any more. */
export type GalleryBytes = (id: string) => Promise<Uint8Array | null>;

/**
 * The conversation as turns. System messages go in front of the first user turn: the models that run here
 * know two roles. Neighbouring messages of one role become one turn. A picture that was shown stands in the
 * prompt behind its [RET], as in the authors' dialogues.
 */
export async function turnsOf(request: ChatRequest, bytesOf: GalleryBytes): Promise<PromptTurn[]> {
  const turns: { role: 'user' | 'assistant'; parts: PromptSegment[] }[] = [];
  for (const { role, content, images } of request.messages) {
    const parts = role === 'assistant' ? await assistantParts(content, images, bytesOf) : userParts(content);
    const speaker = role === 'assistant' ? 'assistant' : 'user';
    const last = turns.at(-1);
    if (last?.role === speaker) last.parts.push({ type: 'text', text: '\n' }, ...parts);
    else turns.push({ role: speaker, parts });
  }
  if (turns.at(-1)?.role !== 'user') throw badRequest('messages: the last one must be from the user');
  if (turns.at(-1)?.parts.every((part) => part.type === 'text' && part.text.trim() === '')) throw badRequest('messages: the last one is empty');
  return turns;
}

function userParts(content: ChatRequest['messages'][number]['content']): PromptSegment[] {
  if (!content) return [];
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return content.map((part): PromptSegment => {
    if (part.type === 'text') return { type: 'text', text: part.text };
    const url = typeof part.image_url === 'string' ? part.image_url : part.image_url.url;
    return { type: 'image', image: { bytes: bytesOfDataUrl(url) } };
  });
}

/** Text with ` [RET]` put back, as trusted text, where pictures were shown, and the pictures behind it. */
async function assistantParts(content: ChatRequest['messages'][number]['content'], images: ChatRequest['messages'][number]['images'], bytesOf: GalleryBytes): Promise<PromptSegment[]> {
  const text = typeof content === 'string' ? content : (content ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
  const placed = (images ?? []).map(({ after, image_url }) => ({ place: Math.min(after ?? text.length, text.length), id: /\/v1\/pictures\/([0-9a-f-]{36})/.exec(image_url?.url ?? '')?.[1] }));
  const places = [...new Set(placed.map(({ place }) => place))].sort((a, b) => a - b);
  const parts: PromptSegment[] = [];
  let from = 0;
  for (const place of places) {
    if (place > from) parts.push({ type: 'text', text: text.slice(from, place) });
    for (const { id } of placed.filter((image) => image.place === place)) {
      parts.push({ type: 'text', text: ' [RET]', trusted: true });
      const bytes = id === undefined ? null : await bytesOf(id);
      if (bytes) parts.push({ type: 'image', image: { bytes } });
    }
    from = place;
  }
  if (from < text.length) parts.push({ type: 'text', text: text.slice(from) });
  return parts;
}

/** @throws FromageError `WEB_BAD_REQUEST` for anything but a base64 data URL of a picture */
export function bytesOfDataUrl(url: string): Uint8Array {
  const match = /^data:image\/[a-z0-9.+-]+;base64,/i.exec(url);
  if (!match) throw badRequest('image_url: pictures must come as data URLs (data:image/…;base64,…); this server fetches no addresses');
  const bytes = Buffer.from(url.slice(match[0].length), 'base64');
  if (bytes.length === 0) throw badRequest('image_url: the picture is empty');
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodingOf(request: ChatRequest): DecodingOptions {
  const stop = typeof request.stop === 'string' ? [request.stop] : request.stop;
  return {
    maxNewTokens: request.max_completion_tokens ?? request.max_tokens ?? 128,
    temperature: request.temperature ?? 0,
    ...(request.top_p == null ? {} : { topP: request.top_p }),
    ...(request.top_k == null ? {} : { topK: request.top_k }),
    ...(request.repetition_penalty == null ? {} : { repetitionPenalty: request.repetition_penalty }),
    ...(request.ret_scale_factor == null ? {} : { retScaleFactor: request.ret_scale_factor }),
    ...(request.min_word_tokens == null ? {} : { minWordTokens: request.min_word_tokens }),
    ...(request.max_num_rets == null ? {} : { maxNumRets: request.max_num_rets }),
    ...(request.force_ret == null ? {} : { forceRet: request.force_ret }),
    ...(stop == null ? {} : { stop }),
  };
}
