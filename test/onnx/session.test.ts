import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { bytesOf, GraphBuilder, toModelBytes } from '../../src/onnx/graph/index.ts';
import { float32, openSession } from '../../src/onnx/run/index.ts';

test('a graph with external data at an odd offset gives the product worked out by hand', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fromage-onnx-')));
  const file = join(folder, 'weights.bin');
  const weight = Float32Array.of(1, 2, 3, 4, 5, 6);
  writeFileSync(file, Buffer.concat([Buffer.from([7]), bytesOf(weight)]));
  const graph = new GraphBuilder('product');
  const x = graph.input('x', 'float32', ['rows', 2]);
  const w = graph.external('w', { type: 'float32', dims: [3, 2], file, offset: 1, byteLength: 24 });
  const y = graph.op('FusedMatMul', [x, w], { transB: 1, alpha: { float: 2 } }, { domain: 'com.microsoft', name: 'layer/product' });
  graph.output(graph.op('Add', [y, graph.scalar(1)]), 'y', 'float32', ['rows', 3]);
  const session = await openSession(toModelBytes(graph.build()), { threads: 1 });
  const { y: result } = await session.run({ x: float32(Float32Array.of(1, 1, 0, 1), [2, 2]) });
  expect(result!.dims).toEqual([2, 3]);
  expect(Array.from(result!.data as Float32Array)).toEqual([7, 15, 23, 5, 9, 13]);
  await session.close();
});

test('a model that the runtime refuses is an error with a code', async () => {
  await expect(openSession(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ code: 'ONNX_LOAD' });
});

test('a wrong feed is an error with a code', async () => {
  const graph = new GraphBuilder('identity');
  graph.output(graph.input('x', 'float32', [2]), 'y', 'float32', [2]);
  const session = await openSession(toModelBytes(graph.build()));
  await expect(session.run({ x: float32(Float32Array.of(1, 2, 3), [3]) })).rejects.toMatchObject({ code: 'ONNX_RUN' });
});
