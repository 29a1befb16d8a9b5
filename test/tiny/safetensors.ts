// Writes tiny safetensors checkpoints for tests, in one file or in shards with an index, as
// Hugging Face lays them out.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TinyTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type TinyDType = 'F32' | 'F16' | 'BF16';

/** Writes `tensors` to one safetensors file, rounded to `dtype`. */
export function writeSafetensors(file: string, tensors: ReadonlyMap<string, TinyTensor>, dtype: TinyDType = 'F32'): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, tensor] of tensors) {
    const bytes = encode(tensor.data, dtype);
    header[name] = { dtype, shape: tensor.shape, data_offsets: [offset, offset + bytes.byteLength] };
    parts.push(bytes);
    offset += bytes.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, ...parts]));
}

/** Writes a folder's weights: `model.safetensors`, or shards and `model.safetensors.index.json`. */
export function writeCheckpoint(folder: string, tensors: ReadonlyMap<string, TinyTensor>, dtype: TinyDType = 'F32', shards = 1): void {
  if (shards === 1) {
    writeSafetensors(join(folder, 'model.safetensors'), tensors, dtype);
    return;
  }
  const weightMap: Record<string, string> = {};
  const names = [...tensors.keys()];
  const perShard = Math.ceil(names.length / shards);
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${String(shard + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`;
    const mine = names.slice(shard * perShard, (shard + 1) * perShard);
    for (const name of mine) weightMap[name] = file;
    writeSafetensors(join(folder, file), new Map(mine.map((name) => [name, tensors.get(name)!])), dtype);
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

/** The values after rounding to `dtype` and back. */
export function rounded(data: Float32Array, dtype: TinyDType): Float32Array {
  if (dtype === 'F32') return data;
  if (dtype === 'F16') return Float32Array.from(data, (value) => halfToFloat(floatToHalf(value)));
  return Float32Array.from(data, (value) => bits(floatToBrain(value) << 16));
}

function encode(data: Float32Array, dtype: TinyDType): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(data.slice().buffer);
  return new Uint8Array(Uint16Array.from(data, dtype === 'F16' ? floatToHalf : floatToBrain).buffer);
}

const view = new DataView(new ArrayBuffer(4));

function bits(integer: number): number {
  view.setUint32(0, integer >>> 0);
  return view.getFloat32(0);
}

/** Round to nearest, ties to even; good for the sizes of weights (no overflow to infinity is needed). */
function floatToBrain(value: number): number {
  view.setFloat32(0, value);
  const word = view.getUint32(0);
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** The nearest half by search over its neighbours: slow and plainly right. */
function floatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  let low = 0;
  let high = 0x7bff;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (halfToFloat(middle) <= size) low = middle;
    else high = middle;
  }
  const below = size - halfToFloat(low);
  const above = halfToFloat(high) - size;
  return sign | (above < below || (above === below && high % 2 === 0) ? high : low);
}

function halfToFloat(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}
