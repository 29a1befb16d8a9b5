// Turns a prompt that was laid out into input embeddings: rows of the frozen table, the adapter's [RET]
// row, and visual prefixes in the pictures' places.
import { FromageError } from '../errors.ts';
import { imagePosition, layOutPrompt, type LayoutOptions, type PromptLayout } from './prompt-layout.ts';
import type { Adapter, AddedToken, EngineImage, LanguageModel, Prompt } from './types.ts';

/** Where rows come from. `added` are more rows outside the frozen table, as golden folders give for `<|image|>`. */
export interface TokenRows {
  readonly languageModel: LanguageModel;
  readonly adapter: Adapter;
  readonly added?: readonly AddedToken[];
}

export interface EncodedPrompt extends PromptLayout {
  /** `[length, embedSize]`, without positions; the caller owns it. */
  readonly embeds: Float32Array;
}

/**
 * Input embeddings `[ids.length, embedSize]` of tokens, [RET] among them.
 *
 * @throws FromageError `MODEL_TOKEN_ROW` for an id that has no row anywhere
 */
export function embedTokens(ids: readonly number[], { languageModel, adapter, added = [] }: TokenRows): Float32Array {
  const { embedSize, vocabSize } = languageModel.config;
  const rows = new Map([...added, adapter.ret].map((token) => [token.id, token.row]));
  const embeds = languageModel.embed(ids.map((id) => {
    if (rows.has(id)) return 0;
    if (id >= 0 && id < vocabSize) return id;
    throw new FromageError({ code: 'MODEL_TOKEN_ROW', what: `token ${id} has no embedding: the table has ${vocabSize} rows`, why: 'no checkpoint holds the row of <|image|> for this model', todo: 'leave <|image|> out of the prompt' });
  }));
  for (const [position, id] of ids.entries()) {
    const row = rows.get(id);
    if (row !== undefined) embeds.set(row, position * embedSize);
  }
  return embeds;
}

/**
 * Input embeddings of a laid-out prompt.
 *
 * @param pooled pooled features `[V]` of each of `layout.images`, in order
 */
export function embedPrompt(layout: PromptLayout, pooled: readonly Float32Array[], rows: TokenRows): Float32Array {
  const { embedSize } = rows.languageModel.config;
  const embeds = embedTokens(layout.tokenIds.map((id) => (id === imagePosition ? rows.adapter.ret.id : id)), rows);
  for (const [index, { position }] of layout.images.entries()) {
    const features = pooled[index];
    if (features === undefined) throw new FromageError({ code: 'INTERNAL', what: `${pooled.length} pooled pictures were given for a prompt of ${layout.images.length}` });
    embeds.set(rows.adapter.visualPrefix(features, 1), position * embedSize);
  }
  return embeds;
}

/** Layout and embeddings in one, where pooled features of pictures are at hand. */
export function encodePrompt(prompt: Prompt, options: Omit<LayoutOptions, 'visualTokens'> & TokenRows & { readonly pooledOf: (image: EngineImage) => Float32Array }): EncodedPrompt {
  const layout = layOutPrompt(prompt, { ...options, visualTokens: options.adapter.visualTokens });
  return { ...layout, embeds: embedPrompt(layout, layout.images.map(({ image }) => options.pooledOf(image)), options) };
}
