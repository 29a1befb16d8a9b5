// The settings of a run of the loop: short, from the serving adapter on, in the form that the model talks.
import type { EngineInfo } from '../engine/types.ts';
import type { ExampleSource, TrainInput } from '../training/index.ts';
import type { LearningSettings } from './settings.ts';

/** Frozen models of the engine, as `fromage train` names them. */
export interface FrozenModels {
  readonly model: string;
  readonly lm?: string;
  readonly vision?: string;
  readonly cacheDir: string;
  readonly threads?: number;
}

export interface RunFacts {
  readonly folder: string;
  readonly from: string;
  readonly info: Pick<EngineInfo, 'promptStyle'>;
  readonly sources: readonly ExampleSource[];
}

/** How a caption is asked for where nobody's own words are known. */
const requests = ['Show me {}', 'Show me a picture of {}', 'I want to see {}', 'Can you show me {}?', 'A picture of {}, please.'];

export function runConfig(models: FrozenModels, { folder, from, info, sources }: RunFacts, settings: LearningSettings): TrainInput {
  const size = (wanted: (source: ExampleSource) => boolean) => sources.filter(wanted).reduce((sum, { examples }) => sum + examples.length, 0);
  const own = size(({ name }) => name !== 'replay');
  const { share, data } = settings.replay;
  // Every example of people is in every step of the second part, replay in its share beside it.
  const pairs = Math.min(1024, Math.max(8, Math.ceil(own / (1 - share))));
  return {
    form: info.promptStyle === 'chat' ? 'chat' : 'plain',
    requests,
    validation: { count: 0, captions: 0 },
    steps: 40,
    batchSize: 16,
    microBatch: 8,
    lr: 3e-4,
    schedule: 'cosine',
    scheduleFloor: 0.1,
    warmupSteps: 5,
    concatProbability: 0,
    checkpointEvery: 10,
    retrievalMaps: { steps: 200, batchSize: pairs, formsPerExample: 1, lr: 1e-3, weightDecay: 0.01, dropout: 0.1, warmupSteps: 10 },
    seed: 1,
    ...settings.training,
    ...models,
    data,
    from,
    run: folder,
  };
}
