// A language model that runs steps: weights and graph in one ONNX session, keys and values in our own
// cache. Rows of different lengths run together; the engine decides which, this file makes tensors of them.
import { FromageError } from '../errors.ts';
import { openWeights } from '../formats/index.ts';
import { toModelBytes } from '../onnx/graph/index.ts';
import { type Device, float32, int64, openSession, type OnnxSession, type RunTensor } from '../onnx/run/index.ts';
import { buildInferenceGraph, hiddenIndex, hiddenWidth, presentOutput, weightsLayout } from './graphs/language-model.ts';
import { SlotKvCache } from './kv-cache.ts';
import { type ModelConfig, readLanguageModelConfig } from './language-model-config.ts';
import { type LanguageModelWeights, prepareWeights, type WeightScheme } from './language-model-weights.ts';
import { chooseScheme } from './language-model-memory.ts';
import type { KvCache, LanguageModel, StepOutput, StepRow } from './types.ts';

export interface OpenWeightsOptions {
  /** A folder in Hugging Face's layout, or a GGUF file. */
  readonly source: string;
  /** `auto`: float32 for tiny models, 4 bits for those stored so and for very large ones, else 8 bits. */
  readonly weights: WeightScheme | 'auto';
  /** Where converted weights are kept; may be emptied at any time. */
  readonly cacheDir: string;
  readonly onProgress?: (done: number) => void;
}

export interface LoadLanguageModelOptions extends OpenWeightsOptions {
  readonly device?: Device;
  readonly threads?: number;
  /** Layers whose hidden states a step returns, as `text_emb_layers` names them; −1 always is. */
  readonly hiddenLayers?: readonly number[];
  /** Of quantised products: 4 (default) computes on int8 activations, 1 on float32, exact and slow. */
  readonly accuracyLevel?: 1 | 4;
  /** Of float32 weights: false uses them where they lie in the file, which saves a copy and costs speed. */
  readonly prepack?: boolean;
}

/**
 * Opens the weights of a language model; training graphs are built on them with the scheme `fp32`.
 *
 * @throws FromageError `MODEL_CONFIG_MISSING`, `MODEL_CONFIG_INVALID`, `MODEL_UNSUPPORTED`,
 *   `MODEL_WEIGHT_SHAPE`, `MODEL_CACHE_WRITE`, and the readers' own
 */
export async function openLanguageModelWeights(options: OpenWeightsOptions): Promise<LanguageModelWeights> {
  const store = openWeights(options.source);
  try {
    const config = readLanguageModelConfig(options.source, store);
    const scheme = options.weights === 'auto' ? chooseScheme(config, [...store.tensors.values()].map((tensor) => tensor.dtype)) : options.weights;
    const layout = weightsLayout(config, (tensor) => store.tensors.has(tensor));
    return await prepareWeights(config, layout, store, { scheme, cacheDir: options.cacheDir, ...(options.onProgress ? { onProgress: options.onProgress } : {}) });
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Opens weights and session; the caller closes the model. */
export async function loadLanguageModel(options: LoadLanguageModelOptions): Promise<LanguageModel> {
  const weights = await openLanguageModelWeights(options);
  try {
    const layers = [...new Set([...(options.hiddenLayers ?? []), -1])];
    const inner = [...new Set(layers.map((layer) => hiddenIndex(weights.config, layer)))].filter((index) => index < weights.config.numLayers);
    const graph = buildInferenceGraph(weights, inner, options.accuracyLevel ?? 4);
    const session = await openSession(toModelBytes(graph), {
      device: options.device ?? 'cpu',
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      // Quantised products are quick only when packed; whether float32 ones are is the caller's choice.
      prepack: weights.scheme !== 'fp32' || (options.prepack ?? true),
    });
    return new OnnxLanguageModel(weights, session, layers, (options.device ?? 'cpu') === 'cpu' ? 0 : 1);
  } catch (error) {
    weights.close();
    throw error;
  }
}

/** A masked score; finite, so that a row without any past cannot become NaN. */
const masked = -1e30;

/** From this many new positions on, rows with a single one are run apart instead of being padded. */
const longRow = 16;

class OnnxLanguageModel implements LanguageModel {
  readonly config: ModelConfig;
  readonly weights: WeightScheme;
  readonly #weights: LanguageModelWeights;
  readonly #session: OnnxSession;
  readonly #layers: readonly number[];
  readonly #leastPast: number;

  /** @param leastPast 1 where products with nothing are not to be tried: WebGPU's kernels crash on empty tensors */
  constructor(weights: LanguageModelWeights, session: OnnxSession, layers: readonly number[], leastPast: number) {
    this.config = weights.config;
    this.weights = weights.scheme;
    this.#weights = weights;
    this.#session = session;
    this.#layers = layers;
    this.#leastPast = leastPast;
  }

  embed(ids: readonly number[]): Float32Array {
    return this.#weights.embed(ids);
  }

  createCache(slots: number): KvCache {
    return new SlotKvCache(this.config, slots);
  }

  /** Not to be called again before it has ended: a step changes the cache. */
  async step(cache: KvCache, rows: readonly StepRow[]): Promise<StepOutput> {
    if (!(cache instanceof SlotKvCache)) throw new FromageError({ code: 'MODEL_STEP_ROW', what: 'the cache was not made by createCache' });
    const checked = this.#check(cache, rows);
    cache.reserve(Math.max(0, ...checked.map((row) => cache.length(row.slot) + row.count)));
    const parts: GroupOutput[] = [];
    for (const group of groups(checked)) parts.push(await this.#run(cache, group));
    return this.#joined(parts, checked.reduce((sum, row) => sum + row.select.length, 0));
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#weights.close();
  }

  /** Runs rows padded to the longest. */
  async #run(cache: SlotKvCache, rows: readonly CheckedRow[]): Promise<GroupOutput> {
    const { embedSize, numLayers, numHeads, numKvHeads, headDim } = this.config;
    const slots = rows.map((row) => row.slot);
    const counts = rows.map((row) => row.count);
    const padded = Math.max(...counts);
    const past = cache.past(slots, this.#leastPast);
    const embeds = new Float32Array(rows.length * padded * embedSize);
    const positions = new BigInt64Array(rows.length * padded);
    rows.forEach((row, r) => {
      embeds.set(row.embeds, r * padded * embedSize);
      const first = cache.length(row.slot);
      // Padding repeats the last position: any valid one will do, since no real query looks at it.
      for (let i = 0; i < padded; i++) positions[r * padded + i] = BigInt(first + Math.min(i, row.count - 1));
    });
    const picks = rows.flatMap((row, r) => row.select.map((offset, i) => ({ r, offset, at: row.outputAt + i }))).sort((a, b) => a.at - b.at);
    // One unwanted selection where nothing is wanted: not every kernel takes zero rows.
    const select = picks.length > 0 ? picks.flatMap(({ r, offset }) => [r, offset]) : [0, 0];
    const feeds: Record<string, RunTensor> = {
      inputs_embeds: float32(embeds, [rows.length, padded, embedSize]),
      pos: int64(positions, [rows.length, padded]),
      mask: attentionMask(rows.map((row) => cache.length(row.slot)), past.columns, padded, numHeads / numKvHeads),
      split_sizes: int64([past.columns, padded]),
      sel: int64(select, [select.length / 2, 2]),
    };
    for (let layer = 0; layer < numLayers; layer++) {
      const dims = [rows.length, numKvHeads, past.columns, headDim];
      feeds[`past_k.${layer}`] = float32(past.keys(layer), dims);
      feeds[`past_v.${layer}`] = float32(past.values(layer), dims);
    }
    const result = await this.#session.run(feeds);
    cache.append(floats(result, presentOutput), slots, counts, padded);
    return { result, places: picks.map(({ at }) => at) };
  }

  /** The outputs of one run as they are, those of several put in the order that was asked for. */
  #joined(parts: readonly GroupOutput[], selected: number): StepOutput {
    const gather = (name: string, width: number): Float32Array => {
      const [only] = parts;
      if (only !== undefined && only.places.length === selected) return floats(only.result, name).subarray(0, selected * width);
      const all = new Float32Array(selected * width);
      for (const { result, places } of parts) {
        const from = floats(result, name);
        places.forEach((at, i) => all.set(from.subarray(i * width, (i + 1) * width), at * width));
      }
      return all;
    };
    const hiddenOf = (layer: number): Float32Array => {
      const index = hiddenIndex(this.config, layer);
      return gather(index === this.config.numLayers ? 'hidden' : `hidden.${index}`, hiddenWidth(this.config, layer));
    };
    return { logits: gather('logits', this.config.vocabSize), hidden: new Map(this.#layers.map((layer) => [layer, hiddenOf(layer)])) };
  }

  #check(cache: SlotKvCache, rows: readonly StepRow[]): CheckedRow[] {
    const seen = new Set<number>();
    let outputAt = 0;
    return rows.map((row) => {
      const count = row.embeds.length / this.config.embedSize;
      const wrong = (what: string): never => {
        throw new FromageError({ code: 'MODEL_STEP_ROW', what: `slot ${row.slot}: ${what}` });
      };
      if (!Number.isInteger(count) || count === 0) wrong(`${row.embeds.length} numbers are not whole positions of ${this.config.embedSize}`);
      if (seen.has(row.slot)) wrong('named twice in one step');
      seen.add(row.slot);
      if (row.select.some((offset) => !Number.isInteger(offset) || offset < 0 || offset >= count)) wrong(`positions [${row.select.join(', ')}] were selected of ${count}`);
      const length = cache.length(row.slot) + count;
      if (length > this.config.contextWindow) {
        throw new FromageError({ code: 'MODEL_CONTEXT_FULL', what: `slot ${row.slot} would hold ${length} positions of ${this.config.contextWindow}`, todo: 'shorten the prompt', userMessage: 'This conversation has become too long for me; please start a new one.' });
      }
      const checked = { ...row, count, outputAt };
      outputAt += row.select.length;
      return checked;
    });
  }
}

interface CheckedRow extends StepRow {
  readonly count: number;
  /** Where its selected positions stand in the output. */
  readonly outputAt: number;
}

/** What a run gave, and which places of the step's output its selected positions take, ascending. */
interface GroupOutput {
  readonly result: Readonly<Record<string, RunTensor>>;
  readonly places: readonly number[];
}

/** Rows by ascending slot; single positions apart from long rows. */
function groups(rows: readonly CheckedRow[]): CheckedRow[][] {
  const bySlot = [...rows].sort((a, b) => a.slot - b.slot);
  if (!bySlot.some((row) => row.count >= longRow)) return bySlot.length > 0 ? [bySlot] : [];
  return [bySlot.filter((row) => row.count === 1), bySlot.filter((row) => row.count > 1)].filter((group) => group.length > 0);
}

/** Additive mask: the valid past of each row, and causal among the new. One query serves all grouped heads. */
function attentionMask(lengths: readonly number[], columns: number, padded: number, group: number): RunTensor<'float32'> {
  const queries = padded === 1 ? 1 : padded * group;
  const width = columns + padded;
  const mask = new Float32Array(lengths.length * queries * width);
  lengths.forEach((length, r) => {
    for (let q = 0; q < queries; q++) {
      const start = (r * queries + q) * width;
      mask.fill(masked, start + Math.min(length, columns), start + columns);
      mask.fill(masked, start + columns + (q % padded) + 1, start + width);
    }
  });
  return float32(mask, [lengths.length, 1, queries, width]);
}

function floats(result: Readonly<Record<string, RunTensor>>, name: string): Float32Array {
  return result[name]!.data as Float32Array;
}
