// Files that PyTorch, numpy, transformers and llama.cpp wrote, where they are there.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { openWeights, readEmbeddingsPickle, readNpy } from '../../src/formats/index.ts';

const golden = '../shared/golden';
const models = '../shared/models';
const withGolden = existsSync(golden) ? test : test.skip;
const withModels = existsSync(models) ? test : test.skip;

interface Expected {
  readonly images: readonly { readonly pixel_mean?: number; readonly retrieval_embedding?: readonly number[] }[];
}

describe('golden folders (skipped where ../shared/golden is not there)', () => {
  withGolden('the authors\' adapter opens with its eight tensors', () => {
    const store = openWeights(`${golden}/fromage-k1/pretrained_ckpt.pth.tar`);
    expect(Object.fromEntries([...store.tensors].map(([name, { shape }]) => [name, shape]))).toEqual({
      'model.logit_scale': [], 'model.text_hidden_fcs.0.0.weight': [16, 32], 'model.text_hidden_fcs.0.0.bias': [16], 'model.visual_embeddings.weight': [32, 24],
      'model.visual_embeddings.bias': [32], 'model.visual_fc.weight': [16, 24], 'model.visual_fc.bias': [16], 'ret_input_embeddings.weight': [1, 32],
    });
    store.close();
  });

  withGolden('sharded .bin, safetensors and the tied llama open by folder, all numbers finite', () => {
    for (const [folder, count] of [['fromage-k1/facebook/opt-tiny', 36], ['fromage-k1/clip-tiny', 39], ['llama', 20]] as const) {
      const store = openWeights(`${golden}/${folder}`);
      expect(store.tensors.size).toBe(count);
      for (const [name, { shape }] of store.tensors) {
        if (shape.length === 0 || name.endsWith('position_ids')) continue;
        const values = store.readFloat32(name);
        expect(values.every(Number.isFinite)).toBe(true);
        expect(Array.from(store.readRowsFloat32(name, 0, 1))).toEqual(Array.from(values.subarray(0, values.length / (shape[0] ?? 1))));
      }
      store.close();
    }
    openWeights(`${golden}/fromage-k4-postnorm/facebook/opt-tiny`).close();
  });

  withGolden('the embeddings are those that the authors\' code gave for the pictures', () => {
    const file = readEmbeddingsPickle(`${golden}/fromage-k1/cc3m_embeddings.pkl`);
    const expected = JSON.parse(readFileSync(`${golden}/fromage-k1/expected.json`, 'utf8')) as Expected;
    const rows = [...file.rows()];
    expect(file).toMatchObject({ count: 10, dim: 16 });
    expect(file.paths[3]).toBe('images/03.png');
    for (const [i, image] of expected.images.entries()) {
      const embedding = image.retrieval_embedding ?? [];
      expect(embedding).toHaveLength(16);
      for (const [j, value] of embedding.entries()) expect(rows[i]?.[j]).toBeCloseTo(value, 4);
    }
    file.close();
  });

  withGolden('pixel values as numpy wrote them', () => {
    const { dtype, shape, data } = readNpy(`${golden}/fromage-k1/pixel_values.npy`);
    expect({ dtype, shape, count: data.length }).toEqual({ dtype: 'f4', shape: [10, 3, 32, 32], count: 30_720 });
  });
});

describe('real weights (skipped where ../shared/models is not there)', () => {
  withModels('the older torch.save stream with channels-last kernels', () => {
    const store = openWeights(`${models}/efficientnet-lite0.pth`);
    expect(store.locate('_conv_stem.weight')).toMatchObject({ shape: [32, 3, 3, 3], strides: [1, 32, 288, 96] });
    const stem = store.readFloat32('_conv_stem.weight');
    const raw = new Float32Array(readFileSync(`${models}/efficientnet-lite0.pth`).buffer.slice(store.locate('_conv_stem.weight').offset).slice(0, 3456));
    expect(stem[(5 * 3 + 1) * 9 + 2 * 3 + 1]).toBe(raw[5 + 32 + 2 * 288 + 96]);
    expect(store.locate('_fc.weight').shape).toEqual([1000, 1280]);
    store.close();
  });

  withModels('a GGUF of llama.cpp: vocabulary, shapes, blocks', () => {
    const store = openWeights(`${models}/SmolLM2-135M-Instruct.Q4_1.gguf`);
    expect(store.metadata['general.architecture']).toBe('llama');
    expect(store.metadata['tokenizer.ggml.tokens']).toHaveLength(49_152);
    expect(store.locate('token_embd.weight')).toMatchObject({ dtype: 'Q8_0', shape: [49_152, 576] });
    const row = store.readRowsFloat32('token_embd.weight', 1000, 1);
    expect(row).toHaveLength(576);
    expect(row.some((value) => value !== 0) && row.every((value) => Math.abs(value) < 5)).toBe(true);
    expect(store.readBytes('blk.0.ffn_down.weight')).toHaveLength((576 * 1536 / 32) * 20);
    store.close();
  });
});
