// Adapters between our form and the authors': `model_args.json` with `pretrained_ckpt.pth.tar`, the same
// keys, shapes and types, readable by torch.load(weights_only=True).
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FromageError } from '../errors.ts';
import { type FloatTensor, writeFileWhole, writeTorchArchive } from '../formats/index.ts';
import { type AdapterCard, foldNormalization, readAdapterFolder, saveAdapter } from '../model/index.ts';

/**
 * Writes an adapter of either form as the authors'; a normalisation of features is folded into the maps.
 *
 * @param target a new folder
 * @throws FromageError `TRAINING_EXPORT` when it exists, `ADAPTER_…` of the reader
 */
export function exportPytorchAdapter(source: string, target: string): void {
  const { tensors: raw, card } = readAdapterFolder(source);
  const tensors = foldNormalization(raw);
  if (existsSync(target)) throw new FromageError({ code: 'TRAINING_EXPORT', what: `${target} is already there`, todo: 'name a new folder' });
  mkdirSync(target, { recursive: true });
  const state: Record<string, FloatTensor> = { 'model.logit_scale': { shape: [], data: Float32Array.of(tensors.logitScale) } };
  const linear = (name: string, { weight, bias, outputs, inputs }: typeof tensors.visualFc): void => {
    state[`model.${name}.weight`] = { shape: [outputs, inputs], data: weight };
    state[`model.${name}.bias`] = { shape: [outputs], data: bias };
  };
  tensors.textFcs.forEach((map, i) => linear(`text_hidden_fcs.${i}.0`, map));
  linear('visual_embeddings', tensors.visualEmbeddings);
  linear('visual_fc', tensors.visualFc);
  state['ret_input_embeddings.weight'] = { shape: [1, tensors.retEmbedding.length], data: tensors.retEmbedding };
  writeTorchArchive(join(target, 'pretrained_ckpt.pth.tar'), { state_dict: state });
  const args = {
    freeze_lm: true,
    freeze_vm: true,
    opt_version: card.languageModel?.id ?? '',
    visual_encoder: card.visionEncoder?.id ?? '',
    n_visual_tokens: tensors.visualTokens,
    image_embed_dropout_prob: 0,
    text_embed_dropout_prob: 0,
    task: 'captioning',
    shared_emb_dim: tensors.visualFc.outputs,
    text_emb_layers: tensors.textLayers,
    retrieval_token_idx: tensors.retTokenId,
  };
  writeFileWhole(join(target, 'model_args.json'), [Buffer.from(`${JSON.stringify(args, null, 1)}\n`)]);
}

/** Writes an adapter of either form as ours into a new folder. Errors as in `saveAdapter` and the reader. */
export function importAdapter(source: string, target: string): AdapterCard {
  const { tensors, card } = readAdapterFolder(source);
  const { format: _format, version: _version, visualTokens: _k, retrievalDim: _e, textLayers: _layers, retTokenId: _id, hash: _hash, visualHash: _visualHash, ...facts } = card;
  return saveAdapter(target, tensors, facts as Parameters<typeof saveAdapter>[2]);
}
