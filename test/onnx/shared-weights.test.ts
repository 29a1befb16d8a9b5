import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { bytesOf, type Graph, GraphBuilder } from '../../src/onnx/graph/index.ts';
import { float32, SharedWeights } from '../../src/onnx/run/index.ts';

function product(file: string, dims: readonly number[], offset: number): Graph {
  const graph = new GraphBuilder('product');
  const w = graph.external('w', { type: 'float32', dims, file, offset, byteLength: 16 });
  graph.output(graph.op('MatMul', [graph.input('x', 'float32', ['rows', dims[0]!]), w]), 'y', 'float32', ['rows', dims[1]!]);
  return graph.build();
}

test('sessions of several graphs are fed one copy of the weights, read once', async () => {
  const file = join(realpathSync(mkdtempSync(join(tmpdir(), 'fromage-shared-'))), 'weights.bin');
  writeFileSync(file, Buffer.concat([Buffer.from([7]), bytesOf(Float32Array.of(1, 2, 3, 4))]));
  const weights = new SharedWeights();
  const square = await weights.open(product(file, [2, 2], 1), { threads: 1 });
  expect(square.inputNames).toEqual(['x']);
  expect((await square.run({ x: float32(Float32Array.of(1, 1), [1, 2]) }))['y']!.data).toEqual(Float32Array.of(4, 6));
  // Whoever read the file again would fail now.
  rmSync(file);
  const column = await weights.open(product(file, [4, 1], 1), { threads: 1 });
  expect((await column.run({ x: float32(Float32Array.of(1, 0, 0, 1), [1, 4]) }))['y']!.data).toEqual(Float32Array.of(5));
  await expect(weights.open(product(file, [2, 2], 5), {})).rejects.toMatchObject({ code: 'ONNX_LOAD' });
  await Promise.all([square.close(), column.close()]);
});

test('a file that ends before its weights is an error with a code', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'fromage-shared-')), 'weights.bin');
  writeFileSync(file, new Uint8Array(10));
  await expect(new SharedWeights().open(product(file, [2, 2], 0), {})).rejects.toMatchObject({ code: 'ONNX_LOAD', what: expect.stringContaining('too short') });
});
