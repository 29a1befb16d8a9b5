// The door of the engine: what a caller sends is checked here once and trusted inside.
import { FromageError } from '../errors.ts';
import { resolveDecoding, type ResolvedDecoding } from './decoding/index.ts';
import type { GenerateRequest, Prompt, PromptSegment } from './types.ts';

/** More than any context window holds; keeps the tokenizer from being fed megabytes. */
const maxCharacters = 1_000_000;
const maxSegments = 10_000;

const styles: ReadonlySet<unknown> = new Set(['qa', 'chat', 'plain']);

/**
 * @returns the decoding options with their defaults
 * @throws FromageError `ENGINE_REQUEST` or `ENGINE_OPTION` naming the field
 */
export function checkRequest(request: GenerateRequest): ResolvedDecoding {
  const { seed, deadlineMs, conversation, adapter } = request;
  if (seed !== undefined && !Number.isSafeInteger(seed)) throw bad(`seed is ${String(seed).slice(0, 40)}`, 'it must be a whole number below 2^53');
  if (deadlineMs !== undefined && !(Number.isFinite(deadlineMs) && deadlineMs >= 0)) throw bad(`deadlineMs is ${String(deadlineMs).slice(0, 40)}`, 'it must be milliseconds from now');
  if (conversation !== undefined && typeof conversation !== 'string') throw bad('conversation is not a text', 'it names whose prefix may be reused');
  if (adapter !== undefined && typeof adapter !== 'string') throw bad('adapter is not a text', 'it must be the id of a loaded adapter');
  checkPrompt(request.prompt);
  return resolveDecoding(request.decoding);
}

/** @throws FromageError `ENGINE_REQUEST` */
export function checkPrompt(prompt: Prompt): void {
  const segments = segmentsOf(prompt);
  if (segments.length > maxSegments) throw bad(`the prompt has ${segments.length} pieces`, `${maxSegments} are taken at most`);
  let characters = 0;
  for (const segment of segments) {
    if (segment?.type === 'text') {
      if (typeof segment.text !== 'string') throw bad('a text piece of the prompt has no text', 'text must be a string');
      characters += segment.text.length;
    } else if (segment?.type === 'image') {
      const image: unknown = segment.image;
      const given = image !== null && typeof image === 'object' ? ('pooled' in image ? image.pooled instanceof Float32Array : 'bytes' in image && image.bytes instanceof Uint8Array) : false;
      if (!given) throw bad('a picture of the prompt has neither bytes nor pooled features', 'it needs one of them');
    } else {
      throw bad('a piece of the prompt is neither text nor image', 'its type must be "text" or "image"');
    }
  }
  if (characters > maxCharacters) throw bad(`the prompt has ${characters} characters`, `${maxCharacters} are taken at most`);
}

function segmentsOf(prompt: Prompt): readonly PromptSegment[] {
  if (prompt?.kind === 'segments' && Array.isArray(prompt.segments)) return prompt.segments;
  if (prompt?.kind === 'turns' && Array.isArray(prompt.turns) && prompt.turns.length > 0) {
    if (prompt.style !== undefined && !styles.has(prompt.style)) throw bad(`the prompt style is ${JSON.stringify(prompt.style)?.slice(0, 40)}`, 'it must be "qa", "chat" or "plain"');
    return prompt.turns.flatMap((turn) => {
      if ((turn?.role !== 'user' && turn?.role !== 'assistant') || !Array.isArray(turn.parts)) throw bad('a turn has no role or no parts', 'role must be "user" or "assistant"');
      return turn.parts as readonly PromptSegment[];
    });
  }
  throw bad('the prompt has neither segments nor turns', 'kind must be "segments" or "turns", with at least one turn');
}

function bad(what: string, why: string): FromageError {
  return new FromageError({ code: 'ENGINE_REQUEST', what, why, todo: 'correct the request' });
}
