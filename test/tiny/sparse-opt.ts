// Writes an OPT of any size whose weights are mostly holes in a sparse file: as large as the real one for
// everything that reads or maps it, and nearly nothing on disk.
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { uniform } from './random.ts';

/** hidden_size, num_hidden_layers, num_attention_heads, ffn_dim. */
export const optSizes = {
  '125m': [768, 12, 12, 3072],
  '6.7b': [4096, 32, 32, 16384],
} as const;

/** float16 weights: a page of every tensor is random, the rest are zeros that take no room. */
export function writeSparseOpt(folder: string, size: keyof typeof optSizes): void {
  const [width, layers, heads, ffn] = optSizes[size];
  const config = { model_type: 'opt', vocab_size: 50272, max_position_embeddings: 2048, word_embed_proj_dim: width, hidden_size: width, num_hidden_layers: layers, num_attention_heads: heads, ffn_dim: ffn };
  const shapes = new Map<string, number[]>([
    ['embed_tokens.weight', [config.vocab_size, width]],
    ['embed_positions.weight', [config.max_position_embeddings + 2, width]],
    ['final_layer_norm.weight', [width]],
    ['final_layer_norm.bias', [width]],
  ]);
  for (let i = 0; i < layers; i++) {
    const linear = (name: string, rows: number, columns: number): void => {
      shapes.set(`layers.${i}.${name}.weight`, [rows, columns]);
      shapes.set(`layers.${i}.${name}.bias`, [rows]);
    };
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) linear(`self_attn.${name}`, width, width);
    linear('fc1', ffn, width);
    linear('fc2', width, ffn);
    for (const name of ['self_attn_layer_norm', 'final_layer_norm']) for (const kind of ['weight', 'bias']) shapes.set(`layers.${i}.${name}.${kind}`, [width]);
  }
  const header: Record<string, unknown> = {};
  const places: [offset: number, bytes: number][] = [];
  let offset = 0;
  for (const [name, shape] of shapes) {
    const bytes = 2 * shape.reduce((product, extent) => product * extent, 1);
    header[`model.decoder.${name}`] = { dtype: 'F16', shape, data_offsets: [offset, offset + bytes] };
    places.push([offset, bytes]);
    offset += bytes;
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, json]));
  ftruncateSync(file, 8 + json.length + offset);
  const next = uniform(3);
  // Bit patterns of halves between 2^-6 and 2^-4, of either sign. Every tensor has its own: ONNX Runtime keeps
  // packed matrices of the same contents once.
  const page = (): Uint8Array => new Uint8Array(Uint16Array.from({ length: 2048 }, () => (next() < 0.5 ? 0x8000 : 0) | (0x2400 + Math.floor(next() * 0x800))).buffer);
  for (const [at, bytes] of places) writeSync(file, page(), 0, Math.min(4096, bytes), 8 + json.length + at);
  closeSync(file);
}
