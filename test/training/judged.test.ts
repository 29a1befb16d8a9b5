// Lessons from people's judgement: rejected pictures as weighted hard negatives, wrong pictures and wrong
// descriptions by unlikelihood, requests in people's own words, features that the caller brings.
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type AdapterTensors, readAdapterFolder } from '../../src/model/index.ts';
import { ContrastiveLoss } from '../../src/training/contrastive.ts';
import { type ExampleSource, type PairExample, train } from '../../src/training/index.ts';
import { initialParameters } from '../../src/training/parameters.ts';
import { createRandom } from '../../src/training/random.ts';
import { tinyVisionHiddenSize } from '../tiny/fromage.ts';
import { writeTinyRun } from './tiny-run.ts';

const [V, W, E] = [6, 5, 4];

function batch(seed: number, n: number) {
  const random = createRandom(seed, 'judged');
  const vector = (length: number) => Float32Array.from({ length }, () => random.uniform() * 2 - 1);
  return { hidden: new Map([[-1, vector(n * W)]]), pictures: Array.from({ length: n }, () => vector(V)), pictureKeys: Array.from({ length: n }, (_, i) => `p${i}`), extra: vector(V) };
}

test('the gradient with rejected and wrong pictures is that of finite differences', async () => {
  const { extra, ...plain } = batch(3, 4);
  const judged = { ...plain, rejected: [[{ features: extra, key: 'x' }], [], [{ features: plain.pictures[1]!, key: 'p1' }], []], unlikely: [false, false, false, true] };
  const loss = new ContrastiveLoss({ visionHiddenSize: V, retrievalDim: E, textLayers: [-1], textWidths: [W] }, 1);
  const parameters = initialParameters({ visualTokens: 1, retrievalDim: E, visionHiddenSize: V, embedSize: W, textWidths: [W] }, 1, 1);
  parameters.get('logit_scale')!.data[0] = 0.5;
  const valueOf = async () => {
    const { textToImage, imageToText } = await loss.run(judged, parameters, 1, new Map());
    return (textToImage + imageToText) / 2;
  };
  const gradients = new Map<string, Float32Array>();
  const result = await loss.run(judged, parameters, 1, gradients);
  expect(result.logitsPerImage).toHaveLength(6 * 4);
  for (const name of ['visual_fc.weight', 'text_hidden_fcs.0.weight', 'logit_scale']) {
    const { data } = parameters.get(name)!;
    for (const i of [0, data.length - 1]) {
      const before = data[i]!;
      data[i] = before + 1e-2;
      const above = await valueOf();
      data[i] = before - 1e-2;
      const below = await valueOf();
      data[i] = before;
      expect(Math.abs((above - below) / 2e-2 - gradients.get(name)![i]!)).toBeLessThan(2e-3);
    }
  }
  // The weight of a hard negative: its logarithm stands in the logits of its text alone.
  const mild = await loss.run({ ...plain, rejected: [[], [{ features: extra, key: 'x' }], [], []] }, parameters, 1, new Map());
  const none = await loss.run({ ...plain, rejected: [[{ features: extra, key: 'x' }], [], [], []] }, parameters, 1, new Map());
  expect(mild.logitsPerImage[4 * 4 + 1]! - none.logitsPerImage[4 * 4 + 1]!).toBeCloseTo(Math.log(2), 5);
  await loss.close();
});

function cosine(tensors: AdapterTensors, a: Float32Array, b: Float32Array): number {
  const project = (features: Float32Array) => Array.from({ length: tensors.visualFc.outputs }, (_, o) => features.reduce((sum, value, i) => sum + value * tensors.visualFc.weight[o * features.length + i]!, tensors.visualFc.bias[o]!));
  const [x, y] = [project(a), project(b)];
  const dot = (p: number[], q: number[]) => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

test('features that are brought are trained on, and what was rejected moves away from what was approved', async () => {
  const { folder, config } = await writeTinyRun('llama', { data: [], validation: { count: 0, captions: 0 }, steps: 1, form: 'chat', retrievalMaps: { steps: 60, batchSize: 8, dropout: 0, lr: 5e-3, weightDecay: 0, warmupSteps: 1 } });
  const random = createRandom(5, 'features');
  const right = Float32Array.from({ length: tinyVisionHiddenSize }, () => random.uniform() - 0.5);
  // Nearly the same picture: only a lesson can part them.
  const features = new Map([['right', right], ['wrong', right.map((value, i) => (i === 0 ? value + 0.2 : value))], ['other', right.map((value) => -value)]]);
  const picture = (name: string) => ({ images: '', name });
  const pair = (name: string, request: string, more: Partial<PairExample> = {}): PairExample => ({ kind: 'pair', caption: request, isName: true, request, picture: picture(name), ...more });
  const source = (examples: readonly PairExample[]): ExampleSource => ({ name: 'feedback', weight: 1, captioning: false, retrieval: true, examples });
  const from = join(folder, 'model', 'adapter');
  const before = readAdapterFolder(from).tensors;
  const run = async (name: string, examples: readonly PairExample[]) => readAdapterFolder((await train({ ...config, from, run: join(folder, name) }, { sources: [source(examples)], features })).adapter!).tensors;
  const rejected = await run('rejected', [pair('right', 'show me my cat', { rejected: [picture('wrong'), picture('nowhere')] }), pair('other', 'a dog')]);
  const start = cosine(before, features.get('right')!, features.get('wrong')!);
  expect(cosine(rejected, features.get('right')!, features.get('wrong')!)).toBeLessThan(start - 0.02);
});

test('a description that was rejected becomes unlikely', async () => {
  const { folder, config } = await writeTinyRun('llama', { data: [], validation: { count: 0, captions: 0 }, steps: 10, form: 'chat', lr: 5e-2 });
  const features = new Map([['mine', Float32Array.from({ length: tinyVisionHiddenSize }, (_, i) => Math.sin(i))]]);
  const example: PairExample = { kind: 'pair', caption: 'a big dog', isName: false, question: 'what is it?', picture: { images: '', name: 'mine' } };
  const lossOf = async (run: string, from: string, examples: readonly PairExample[], steps: number) => {
    const losses: number[] = [];
    const { adapter } = await train({ ...config, steps, from, run: join(folder, run) }, { features, sources: [{ name: 'f', weight: 1, captioning: true, retrieval: false, examples }], onProgress: (progress) => progress.stage === 'joint' && losses.push(progress.captioning) });
    return { first: losses[0]!, adapter: adapter! };
  };
  // A model that never says it cannot unlearn it: it is taught first.
  const { adapter } = await lossOf('taught', join(folder, 'model', 'adapter'), [example], 60);
  const before = await lossOf('before', adapter, [example], 1);
  const { adapter: untaught } = await lossOf('untaught', adapter, [{ ...example, unlikely: true }], 30);
  const after = await lossOf('after', untaught, [example], 1);
  expect(after.first).toBeGreaterThan(before.first + 0.05);
});
