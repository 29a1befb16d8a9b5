// `fromage models list` and `fromage models info`: what can run here, and what a loaded model is.
import { existsSync, readdirSync } from 'node:fs';
import { hubSettings, isHere, modelOptions, neededParts } from '../../app/index.ts';
import { findCached } from '../../hub/index.ts';
import { loadFromage, presets } from '../../model/index.ts';
import { configuration } from '../configuration.ts';
import { bytesText, tableText } from '../models/units.ts';

export { pullModel } from './pull.ts';

interface JsonOption extends Record<string, unknown> {
  readonly json?: boolean;
}

export async function listModels(options: JsonOption): Promise<void> {
  const { cacheDir } = hubSettings(configuration(options));
  const listed = presets.map((preset) => {
    if (preset.folder !== undefined) return { name: preset.name, title: preset.title, here: existsSync(preset.folder), missing: [] as string[], by_hand: null };
    const { parts, byHand } = neededParts(preset.name);
    return { name: preset.name, title: preset.title, here: isHere(parts, cacheDir), missing: parts.filter((part) => !isHere([part], cacheDir)).map(({ id }) => id), by_hand: byHand };
  });
  const cached = cachedModels(cacheDir);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ presets: listed, cache: { folder: cacheDir, models: cached } })}\n`);
    return;
  }
  const state = ({ name, here, by_hand: byHand }: (typeof listed)[number]) => (here ? `here${byHand === null ? '' : ', but for the adapter'}` : `fromage models pull ${name}`);
  process.stdout.write(tableText([['preset', 'on this machine', 'what it is'], ...listed.map((one) => [one.name, state(one), one.title])]));
  for (const { name, by_hand: byHand } of listed) if (byHand !== null) process.stdout.write(`\n${name}: ${byHand}.\n`);
  process.stdout.write(`\nIn ${cacheDir}:${cached.length === 0 ? ' no models' : ''}\n`);
  if (cached.length > 0) process.stdout.write(tableText(cached.map(({ id, bytes, complete }) => [`  ${id}`, bytesText(bytes), complete ? 'whole' : 'not whole'])));
}

/** Every model that any of the hub's tools has put into the cache. */
function cachedModels(cacheDir: string): { id: string; bytes: number; complete: boolean }[] {
  if (!existsSync(cacheDir)) return [];
  return readdirSync(cacheDir)
    .filter((name) => /^models--[\w.-]+$/.test(name))
    .sort()
    .flatMap((name) => {
      const id = name.slice('models--'.length).replace('--', '/');
      const found = findCached(cacheDir, id);
      return found === null ? [] : [{ id, bytes: found.bytes, complete: found.complete }];
    });
}

export async function modelInfo(options: JsonOption): Promise<void> {
  const config = configuration(options);
  const before = process.memoryUsage().rss;
  const began = performance.now();
  const model = await loadFromage(modelOptions(config));
  try {
    const { languageModel, vision, adapter } = model;
    const lm = languageModel.config;
    const info = {
      name: model.name,
      device: model.device,
      prompt_style: model.promptStyle,
      language_model: { family: lm.family, weights: languageModel.weights, hidden_size: lm.hiddenSize, layers: lm.numLayers, heads: lm.numHeads, kv_heads: lm.numKvHeads, vocabulary: lm.vocabSize, context_window: lm.contextWindow },
      vision_encoder: { hidden_size: vision.visionHiddenSize, image_size: vision.imageSize, hash: vision.hash },
      adapter: { id: adapter.id, visual_tokens: adapter.visualTokens, retrieval_dim: adapter.retrievalDim, text_layers: adapter.textLayers, ret_token: adapter.ret.id, hash: adapter.hash },
      kv_bytes_per_token: lm.numLayers * 2 * lm.numKvHeads * lm.headDim * 4,
      load_ms: Math.round(performance.now() - began),
      memory_mb: Math.round((process.memoryUsage().rss - before) / 2 ** 20),
    };
    process.stdout.write(options.json ? `${JSON.stringify(info)}\n` : describe(info));
  } finally {
    await model.close();
  }
}

function describe(info: Readonly<Record<string, unknown>>): string {
  const rows = Object.entries(info).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([inner, one]) => [`${words(name)}: ${words(inner)}`, text(one)])
      : [[words(name), text(value)]],
  );
  return tableText(rows);
}

function words(name: string): string {
  return name.replaceAll('_', ' ');
}

function text(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}
