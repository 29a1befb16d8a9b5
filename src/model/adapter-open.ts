// Opens the folder of an adapter: ours (`adapter.safetensors` + `adapter.json`) or the authors'
// (`model_args.json` + `pretrained_ckpt.pth.tar`, released or a whole training checkpoint).
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FromageError } from '../errors.ts';
import { openSafetensors, openTorch } from '../formats/index.ts';
import type { WeightStore } from '../formats/types.ts';
import { parseAdapterCard, parseModelArgs, type AdapterCard, type ModelArgs } from './adapter-card.ts';
import { checkAdapter, createAdapter, type AdapterSizes, type AdapterTensors, type LinearMap } from './adapter.ts';
import type { Adapter } from './types.ts';

const jsonLimit = 16 * 1024 * 1024;
/** `pretrained_ckpt` is what the authors release; the others are what their training writes. */
const checkpointNames = ['pretrained_ckpt.pth.tar', 'ckpt_best.pth.tar', 'ckpt.pth.tar'];

/** What a folder holds, before it is known which models it will stand between. */
export interface AdapterFolder {
  readonly tensors: AdapterTensors;
  /** Facts of `adapter.json`, or of `model_args.json` in the same words. */
  readonly card: AdapterCard;
}

/**
 * Opens an adapter for given frozen models.
 *
 * @param id how requests name it; the folder's name when absent
 * @throws FromageError `ADAPTER_MISSING`, `ADAPTER_FILE`, `ADAPTER_SHAPE`, or `FORMAT_…` of the weights
 */
export function openAdapter(folder: string, sizes: AdapterSizes, id?: string): Adapter {
  const { tensors, card } = readAdapterFolder(folder);
  checkAdapter(tensors, sizes, folder);
  return createAdapter(id ?? basename(realpathSync(folder)), tensors, card);
}

/** The tensors and the card of an adapter folder; the caller owns the arrays. Errors as in `openAdapter`. */
export function readAdapterFolder(folder: string): AdapterFolder {
  if (existsSync(join(folder, 'adapter.json'))) return readOurs(folder);
  if (existsSync(join(folder, 'model_args.json'))) return readAuthors(folder);
  throw new FromageError({
    code: 'ADAPTER_MISSING',
    what: `${folder} holds no adapter`,
    why: 'there is no adapter.json (with adapter.safetensors) and no model_args.json (with pretrained_ckpt.pth.tar)',
    todo: 'name the folder of an adapter',
  });
}

/** The authors' `model_args.json` of a folder. */
export function readModelArgs(folder: string): ModelArgs {
  const file = join(folder, 'model_args.json');
  return parseModelArgs(readJson(file), file);
}

function readOurs(folder: string): AdapterFolder {
  const cardFile = join(folder, 'adapter.json');
  const card = parseAdapterCard(readJson(cardFile), cardFile);
  const file = join(folder, 'adapter.safetensors');
  if (!existsSync(file)) throw missing(file);
  const store = openSafetensors(file);
  try {
    const feature = (name: string): Float32Array | null => (store.tensors.has(name) ? store.readFloat32(name) : null);
    const featureMean = feature('feature_mean');
    const featureStd = feature('feature_std');
    const tensors: AdapterTensors = {
      visualTokens: card.visualTokens,
      textLayers: card.textLayers,
      retTokenId: card.retTokenId,
      visualEmbeddings: readMap(store, 'visual_embeddings', folder),
      visualFc: readMap(store, 'visual_fc', folder),
      textFcs: card.textLayers.map((_, index) => readMap(store, `text_hidden_fcs.${index}`, folder)),
      retEmbedding: store.readFloat32('ret_embedding'),
      logitScale: store.readFloat32('logit_scale')[0] ?? Number.NaN,
      ...(featureMean && featureStd ? { featureMean, featureStd } : {}),
    };
    if (tensors.visualFc.outputs !== card.retrievalDim) throw badFile(cardFile, `it says a retrieval width of ${card.retrievalDim}, the tensors have ${tensors.visualFc.outputs}`);
    return { tensors, card };
  } finally {
    store.close();
  }
}

function readAuthors(folder: string): AdapterFolder {
  const args = readModelArgs(folder);
  const file = checkpointNames.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (file === undefined) throw missing(join(folder, checkpointNames[0] ?? ''));
  const store = openTorch(file);
  try {
    const names = plainNames(store);
    const name = (plain: string): string => names.get(plain) ?? plain;
    const map = (prefix: string): LinearMap => readMap(store, prefix, file, name);
    const tensors: AdapterTensors = {
      visualTokens: args.n_visual_tokens,
      textLayers: args.text_emb_layers,
      retTokenId: args.retrieval_token_idx,
      visualEmbeddings: map('visual_embeddings'),
      visualFc: map('visual_fc'),
      textFcs: args.text_emb_layers.map((_, index) => map(`text_hidden_fcs.${index}.0`)),
      retEmbedding: readRetRow(store, names, args.retrieval_token_idx, file),
      logitScale: store.readFloat32(name('logit_scale'))[0] ?? Number.NaN,
    };
    if (tensors.visualFc.outputs !== args.shared_emb_dim) throw badFile(join(folder, 'model_args.json'), `it says a shared_emb_dim of ${args.shared_emb_dim}, the checkpoint has ${tensors.visualFc.outputs}`);
    return { tensors, card: cardOf(args) };
  } finally {
    store.close();
  }
}

/** Checkpoint names without `state_dict.`, `module.` and `model.` in front, as releases and training runs differ in them. */
function plainNames(store: WeightStore): Map<string, string> {
  const names = new Map<string, string>();
  for (const name of store.tensors.keys()) {
    const plain = name.replace(/^(?:state_dict\.)?(?:module\.)?(?:model\.)?/, '');
    if (!names.has(plain)) names.set(plain, name);
  }
  return names;
}

/** The released form keeps the one trained row; a training checkpoint has it inside the whole table. */
function readRetRow(store: WeightStore, names: ReadonlyMap<string, string>, id: number, file: string): Float32Array {
  const single = names.get('ret_input_embeddings.weight');
  if (single !== undefined) return store.readFloat32(single);
  for (const table of ['input_embeddings.weight', 'lm.model.decoder.embed_tokens.weight', 'lm.lm_head.weight']) {
    const name = names.get(table);
    if (name === undefined) continue;
    const rows = store.locate(name).shape[0] ?? 0;
    if (id >= rows) throw badFile(file, `retrieval_token_idx is ${id}, ${table} has ${rows} rows`);
    return store.readRowsFloat32(name, id, 1);
  }
  throw badFile(file, 'it holds no row for [RET]: neither ret_input_embeddings.weight nor an embedding table');
}

function readMap(store: WeightStore, prefix: string, origin: string, name: (plain: string) => string = (plain) => plain): LinearMap {
  const weight = store.locate(name(`${prefix}.weight`));
  const bias = store.locate(name(`${prefix}.bias`));
  const [outputs, inputs] = weight.shape;
  if (weight.shape.length !== 2 || outputs === undefined || inputs === undefined || bias.shape.length !== 1 || bias.shape[0] !== outputs) {
    throw new FromageError({ code: 'ADAPTER_SHAPE', what: `${origin}: ${prefix} has weight [${weight.shape.join(', ')}] and bias [${bias.shape.join(', ')}]`, why: 'a Linear has [outputs, inputs] and [outputs]', todo: 'take the adapter as it was written' });
  }
  return { weight: store.readFloat32(weight.name), bias: store.readFloat32(bias.name), inputs, outputs };
}

function cardOf(args: ModelArgs): AdapterCard {
  return {
    format: 'fromage-adapter',
    version: 1,
    visualTokens: args.n_visual_tokens,
    retrievalDim: args.shared_emb_dim,
    textLayers: args.text_emb_layers,
    retTokenId: args.retrieval_token_idx,
    languageModel: { id: args.opt_version },
    visionEncoder: { id: args.visual_encoder },
  };
}

function readJson(file: string): unknown {
  try {
    const { size } = statSync(file);
    if (size > jsonLimit) throw badFile(file, `it has ${size} bytes, at most ${jsonLimit} are read`);
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw badFile(file, `it cannot be read as JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function missing(file: string): FromageError {
  return new FromageError({ code: 'ADAPTER_MISSING', what: `${file} is not there`, why: 'an adapter is its tensors and the JSON file beside them', todo: 'copy the whole folder' });
}

function badFile(file: string, why: string): FromageError {
  return new FromageError({ code: 'ADAPTER_FILE', what: `${file} cannot be used`, why, todo: 'take the folder as it was written' });
}
