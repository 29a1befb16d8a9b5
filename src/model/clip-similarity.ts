// CLIP's own similarity of texts and pictures, where the encoder's files hold the text tower too: texts run
// through the tower, pictures' pooled features through CLIP's projection. A yardstick for the adapter, which
// learns to do the same with a language model.
import { createHash } from 'node:crypto';
import { FromageError } from '../errors.ts';
import { openWeights } from '../formats/index.ts';
import type { WeightStore } from '../formats/types.ts';
import { toModelBytes } from '../onnx/graph/index.ts';
import { type Device, float32, int64, openSession } from '../onnx/run/index.ts';
import { l2Normalize, linear } from '../tensor/index.ts';
import { type ClipTokenizer, openClipTokenizer } from '../tokenizer/index.ts';
import { clipTextGraph } from './graphs/clip-text.ts';
import { folderOf, readClipFolder, readClipTextFacts } from './vision-encoder-config.ts';
import { findPrefix, VisionWeights } from './vision-encoder-weights.ts';

export interface ClipSimilarityOptions {
  /** What the vision encoder was opened from. */
  readonly source: string;
  readonly device?: Device;
  /** Threads inside one operator. */
  readonly threads?: number;
}

/** Texts and pictures in CLIP's shared space; their inner product is CLIP's cosine. */
export interface ClipSimilarity {
  /** SHA-256 that names the text tower and the projections. */
  readonly hash: string;
  readonly projectionSize: number;
  /** Unit vectors `[projectionSize]`; a text is cut at the tower's positions (77 tokens in the published models). */
  embedTexts(texts: readonly string[]): Promise<Float32Array[]>;
  /** Pooled features `[visionHiddenSize]` -> unit vectors `[projectionSize]`. */
  projectPictures(pooled: readonly Float32Array[]): Float32Array[];
  close(): Promise<void>;
}

/** Texts in one run of the session. */
const batchSize = 32;

/** The first releases' configurations give 2 as the end token, which is another one's id; see `endOf`. */
const formerEndTokenId = 2;

/**
 * Opens the text tower beside a vision encoder.
 *
 * @throws FromageError `MODEL_TEXT_TOWER` when there is none, with the reason; `MODEL_VISION_CONFIG`,
 *   `MODEL_VISION_SHAPE`, `TOKENIZER_MISSING`, `TOKENIZER_FILE`, `ONNX_LOAD`; FormatError
 */
export async function loadClipSimilarity({ source, device = 'cpu', threads }: ClipSimilarityOptions): Promise<ClipSimilarity> {
  const store = openWeights(source);
  try {
    const { tower, projections } = findTower(store, source);
    const facts = readClipTextFacts(source);
    if (facts === null) throw noTower(source, 'its config.json has no text_config');
    const tokenizer = openClipTokenizer(folderOf(source));
    if (tokenizer.vocabSize > facts.vocabSize) throw noTower(source, `its tokenizer has ${tokenizer.vocabSize} entries, the text tower ${facts.vocabSize}`);
    const [projectionSize = 0] = store.locate(`${projections}visual_projection.weight`).shape;
    const config = { ...facts, projectionSize };
    const weights = { tower: new VisionWeights(store, tower), projection: new VisionWeights(store, projections) };
    const graph = clipTextGraph(config, weights);
    const visualProjection = weights.projection.read('visual_projection.weight', [projectionSize, readClipFolder(source).config.hiddenSize]);
    const session = await openSession(toModelBytes(graph), { device, ...(threads === undefined ? {} : { threads }) });

    const run = async (texts: readonly (readonly number[])[]): Promise<Float32Array> => {
      const length = Math.max(...texts.map((ids) => ids.length));
      const padded = texts.flatMap((ids) => [...ids, ...Array.from({ length: length - ids.length }, () => tokenizer.endId)]);
      const outputs = await session.run({
        input_ids: int64(padded, [texts.length, length]),
        causal_mask: float32(causalMask(length), [length, length]),
        end: int64(texts.map((ids) => endOf(ids, facts.endTokenId, tokenizer)), [texts.length, 1]),
      });
      return outputs.text_embeds!.data as Float32Array;
    };
    return {
      hash: createHash('sha256').update(weights.tower.hash(config) + weights.projection.hash(config)).digest('hex'),
      projectionSize,
      async embedTexts(texts) {
        const ids = texts.map((text) => tokenizer.encode(text, facts.positions));
        // Texts of like length run together.
        const order = ids.map((_, i) => i).sort((a, b) => ids[a]!.length - ids[b]!.length);
        const vectors: Float32Array[] = new Array(texts.length);
        for (let start = 0; start < order.length; start += batchSize) {
          const part = order.slice(start, start + batchSize);
          const embeds = await run(part.map((i) => ids[i]!));
          part.forEach((i, row) => (vectors[i] = l2Normalize(embeds.subarray(row * projectionSize, (row + 1) * projectionSize))));
        }
        return vectors;
      },
      projectPictures: (pooled) => pooled.map((features) => l2Normalize(linear(features, visualProjection, null, 1))),
      close: () => session.close(),
    };
  } finally {
    store.close();
  }
}

/** What stands before the names of the tower's tensors and of the two projections. */
function findTower(store: WeightStore, source: string): { readonly tower: string; readonly projections: string } {
  const tower = findPrefix(store, 'embeddings.token_embedding.weight');
  if (tower === null) throw noTower(source, 'its weights are a vision tower alone');
  const projections = findPrefix(store, 'text_projection.weight');
  if (projections === null || !store.tensors.has(`${projections}visual_projection.weight`)) throw noTower(source, 'its weights have no projections into a space that texts and pictures share');
  return { tower, projections };
}

/**
 * The place whose state stands for a text, as transformers finds it: where the end token first stands, or the
 * highest id where the configuration is one of the first releases'.
 */
function endOf(ids: readonly number[], endTokenId: number, tokenizer: ClipTokenizer): number {
  const at = ids.indexOf(endTokenId === formerEndTokenId ? Math.max(...ids) : endTokenId);
  if (at >= 0) return at;
  throw new FromageError({
    code: 'MODEL_VISION_CONFIG',
    what: `config.json of the text tower ends texts with the token ${endTokenId}, its tokenizer with ${tokenizer.endId}`,
    todo: 'keep config.json and the tokenizer of one encoder together',
  });
}

function causalMask(length: number): Float32Array {
  return Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0));
}

function noTower(source: string, why: string): FromageError {
  return new FromageError({ code: 'MODEL_TEXT_TOWER', what: `${source} has no text tower`, why, todo: 'choose a whole CLIP model (CLIPModel) with its tokenizer, or do without CLIP’s own similarity' });
}
