// Where the visual tokens start: at the mean embedding of the words that captions say of a picture, as far
// as a ridge regression from its pooled features can tell. Ours, not the paper's; EXPERIMENTS.md says
// what it saves.
import { type PairExample, pictureKey } from './examples.ts';
import { type Parameters, parameterOf } from './parameters.ts';
import { createRandom } from './random.ts';
import { ridgeRegression } from './ridge.ts';
import type { Setting } from './setting.ts';

/** More pictures hardly change the regression. */
const maxPictures = 6000;
/** Of the squared features, per picture; the fit on held-out pictures hardly changes from a third to three times of it. */
const ridgeStrength = 1.7;
/** Length of what a picture adds, of the mean row of the embedding table: a regression's outputs are too timid. */
const pictureLength = 0.8;
/** Of the random start, so that the k tokens of a picture do not stay alike. */
const noise = 0.05;

/** Changes `visual_embeddings` in place; leaves it where no captions are learned. */
export function warmStartVisualTokens({ sources, features, form, weights, retNorm, facts, config }: Pick<Setting, 'sources' | 'features' | 'form' | 'weights' | 'retNorm' | 'facts' | 'config'>, parameters: Parameters): void {
  const pairs = sources.flatMap((source) => (source.captioning ? source.examples.flatMap((example) => (example.kind === 'pair' && !example.unlikely ? [example] : [])) : []));
  const pictures = [...Map.groupBy(pairs, ({ picture }) => pictureKey(picture)).values()];
  const chosen = createRandom(config.seed, 'warm-start').shuffled(pictures).slice(0, maxPictures);
  if (chosen.length < 2) return;
  const wordsOf = (pair: PairExample) => form.validationCaption(pair).labels.filter((id) => id < facts.retTokenId);
  const words = chosen.map((captions) => captions.flatMap(wordsOf));
  const rarity = inverseFrequency(words);
  const width = weights.config.embedSize;
  const targets = words.map((ids) => meanEmbedding(weights.embed(ids), ids.map((id) => rarity.get(id) ?? 0), width));
  const inputs = chosen.map(([first]) => features(first!.picture));
  const { weight, bias, meanLength } = ridgeRegression(inputs, targets, ridgeStrength * chosen.length);
  const enlarge = meanLength === 0 ? 0 : (pictureLength * retNorm) / meanLength;
  const mean = meanOf(inputs);
  const start = parameterOf(parameters, 'visual_embeddings.weight').data;
  const startBias = parameterOf(parameters, 'visual_embeddings.bias').data;
  for (let i = 0; i < start.length; i++) start[i] = start[i]! * noise + weight[i % weight.length]! * enlarge;
  const columns = mean.length;
  for (let row = 0; row < startBias.length; row++) {
    // The mean picture keeps the mean target; only what differs from it is enlarged.
    let atMean = 0;
    for (let i = 0; i < columns; i++) atMean += weight[((row % width) * columns + i) % weight.length]! * mean[i]!;
    startBias[row] = startBias[row]! * noise + bias[row % width]! + atMean * (1 - enlarge);
  }
}

/** ln(pictures / pictures whose captions have the token): what is said of every picture weighs nothing. */
function inverseFrequency(texts: readonly (readonly number[])[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const ids of texts) for (const id of new Set(ids)) counts.set(id, (counts.get(id) ?? 0) + 1);
  return new Map([...counts].map(([id, count]) => [id, Math.log(texts.length / count)]));
}

function meanEmbedding(rows: Float32Array, rarity: readonly number[], width: number): Float64Array {
  const mean = new Float64Array(width);
  const total = rarity.reduce((sum, value) => sum + value, 0);
  if (total === 0) return mean;
  rarity.forEach((value, row) => {
    for (let i = 0; i < width; i++) mean[i] = mean[i]! + (value / total) * rows[row * width + i]!;
  });
  return mean;
}

function meanOf(rows: readonly Float32Array[]): Float64Array {
  const mean = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + row[i]! / rows.length;
  return mean;
}
