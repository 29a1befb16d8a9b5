import { expect, test } from '@jest/globals';
import { parseTrainConfig } from '../../src/training/config.ts';
import { parameterOf } from '../../src/training/parameters.ts';
import { createRandom } from '../../src/training/random.ts';
import { ridgeRegression } from '../../src/training/ridge.ts';
import { openSetting } from '../../src/training/setting.ts';
import { writeTinyRun } from './tiny-run.ts';

test('ridge regression by hand: one input, pulled half-way to zero', () => {
  const fit = ridgeRegression([Float32Array.of(9), Float32Array.of(11)], [Float64Array.of(3), Float64Array.of(7)], 2);
  // Centred: x = ∓1, y = ∓2; w = xy / (xx + 2) = 4 / 4; at the mean input 10 the mean target 5.
  expect(fit.weight[0]).toBeCloseTo(1, 12);
  expect(fit.bias[0]).toBeCloseTo(-5, 12);
  expect(fit.meanLength).toBeCloseTo(1, 12);
});

test('ridge regression meets its normal equations', () => {
  const random = createRandom(3, 'ridge');
  const [rows, inputs, outputs, lambda] = [40, 7, 3, 0.9];
  const x = Array.from({ length: rows }, () => Float32Array.from({ length: inputs }, () => random.normal() + 2));
  const y = Array.from({ length: rows }, () => Float64Array.from({ length: outputs }, () => random.normal() - 1));
  const { weight, bias } = ridgeRegression(x, y, lambda);
  const mean = Array.from({ length: inputs }, (_, i) => x.reduce((sum, row) => sum + row[i]!, 0) / rows);
  for (let o = 0; o < outputs; o++) {
    const residuals = x.map((row, r) => y[r]![o]! - row.reduce((sum, value, i) => sum + value * weight[o * inputs + i]!, bias[o]!));
    expect(residuals.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 8);
    for (let i = 0; i < inputs; i++) expect(x.reduce((sum, row, r) => sum + (row[i]! - mean[i]!) * residuals[r]!, 0)).toBeCloseTo(lambda * weight[o * inputs + i]!, 8);
  }
});

test('a warm start puts the visual tokens of a picture near the words that are said of it', async () => {
  const { config } = await writeTinyRun('llama', { warmStart: true, normalizeFeatures: true });
  const setting = await openSetting(parseTrainConfig(config));
  try {
    const { weights, form, facts } = setting;
    const width = weights.config.embedSize;
    const pairs = setting.sources[0]!.examples.flatMap((example) => (example.kind === 'pair' ? [example] : []));
    const said = (caption: string) => {
      const ids = form.validationCaption(pairs.find((pair) => pair.caption === caption)!).labels.filter((id) => id < facts.retTokenId);
      return Array.from({ length: width }, (_, i) => ids.reduce((sum, _id, row) => sum + weights.embed(ids)[row * width + i]! / ids.length, 0));
    };
    const tokens = (warm: boolean, features: Float32Array) => {
      const parameters = setting.initial(warm);
      const { data } = parameterOf(parameters, 'visual_embeddings.weight');
      const bias = parameterOf(parameters, 'visual_embeddings.bias').data;
      return Array.from(bias, (b, row) => features.reduce((sum, value, i) => sum + value * data[row * features.length + i]!, b));
    };
    const captions = [...new Set(pairs.map(({ caption }) => caption))];
    const centre = captions.map(said).reduce((sum, row) => sum.map((value, i) => value + row[i]! / captions.length));
    const right = (warm: boolean) => pairs.filter(({ caption, picture }) => {
      const token = tokens(warm, setting.features(picture)).slice(0, width);
      const likeness = (other: string) => said(other).reduce((sum, value, i) => sum + (value - centre[i]!) * token[i]!, 0) / Math.hypot(...said(other).map((value, i) => value - centre[i]!));
      return captions.every((other) => other === caption || likeness(other) < likeness(caption));
    }).length;
    expect(right(true)).toBeGreaterThan(pairs.length / 2);
    expect(right(false)).toBeLessThan(pairs.length / 2);
  } finally {
    await setting.close();
  }
});
