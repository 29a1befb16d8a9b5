// From a request to what can be run: pictures through the encoder, the prompt laid out in the context
// window, an empty answer.
import { FromageError } from '../errors.ts';
import type { Adapter } from '../model/types.ts';
import { Answer } from './answer.ts';
import { answerEnds } from './answer-ends.ts';
import type { ImageFeatures } from './image-features.ts';
import type { EngineParts, PromptLayout } from './parts.ts';
import { PromptRows } from './prompt-rows.ts';
import type { Prepared, Sequence } from './sequence.ts';
import type { Prompt } from './types.ts';

/** @throws the vision room's errors, `MODEL_PROMPT_TOO_LONG`, `ENGINE_REQUEST` for an empty prompt */
export async function prepareSequence(sequence: Sequence, parts: EngineParts, features: ImageFeatures): Promise<Prepared> {
  const { decoding, request, seed, stream, use } = sequence;
  const { config } = parts.languageModel;
  // A wish for more new tokens than the window has is cut short at its end, not refused.
  const maxNewTokens = Math.min(decoding.maxNewTokens, config.contextWindow >> 1);
  const { prompt, layout } = await preparePrompt(request.prompt, maxNewTokens, use.adapter, parts, features);
  // How often pictures were asked for in training is not how often people ask: the adapter says how far apart.
  const retScaleFactor = decoding.retScaleFactor * (decoding.retScaleMode === 'odds' ? use.adapter.retOdds : 1);
  const answer = new Answer({
    decoding: { ...decoding, retScaleFactor },
    seed,
    ends: answerEnds(request.prompt, parts.promptStyle),
    endTokenIds: config.eosTokenIds,
    retTokenId: use.adapter.ret.id,
    textStream: parts.createTextStream(),
    onText: (text) => stream.push({ type: 'text', text }),
  });
  return { prompt, droppedTurns: layout.droppedTurns, answer };
}

/**
 * @param maxNewTokens positions kept free behind the prompt
 * @param append ids put behind the prompt, within those positions
 */
export async function preparePrompt(
  prompt: Prompt,
  maxNewTokens: number,
  adapter: Adapter,
  parts: EngineParts,
  features: ImageFeatures,
  append: readonly number[] = [],
): Promise<{ readonly prompt: PromptRows; readonly layout: PromptLayout }> {
  const laidOut = parts.layOutPrompt(prompt, { visualTokens: adapter.visualTokens, maxNewTokens });
  const layout = append.length === 0 ? laidOut : { ...laidOut, tokenIds: [...laidOut.tokenIds, ...append] };
  if (layout.tokenIds.length === 0) throw new FromageError({ code: 'ENGINE_REQUEST', what: 'the prompt is empty', todo: 'send at least one token or picture' });
  const pooled = await Promise.all(layout.images.map(({ image }) => features.resolve(image)));
  return { prompt: new PromptRows(layout, pooled, adapter, parts), layout };
}
