// The models that have a name. What a preset names lies in this repository (the starter) or comes from
// the Hugging Face hub.
import { join } from 'node:path';
import type { PromptStyle } from './types.ts';

export interface Preset {
  readonly name: string;
  readonly title: string;
  /** A folder of this repository with a model.json; the other fields are then that file's. */
  readonly folder?: string;
  /** Hub ids. */
  readonly languageModel?: string;
  readonly visionEncoder?: string;
  /** Hub repository of the authors' demo, and the adapter's folder inside it. */
  readonly adapter?: { readonly repository: string; readonly type: 'model' | 'space'; readonly folder: string };
  readonly promptStyle?: PromptStyle;
}

const authors = { languageModel: 'facebook/opt-6.7b', visionEncoder: 'openai/clip-vit-large-patch14', promptStyle: 'qa' } as const;

export const presets: readonly Preset[] = [
  { name: 'starter', title: 'SmolLM2-135M-Instruct and EfficientNet-Lite0, with this repository', folder: join(import.meta.dirname, '../../models/starter') },
  { name: 'fromage', title: "the paper's model: OPT-6.7B, CLIP ViT-L/14, one visual token", ...authors, adapter: { repository: 'jykoh/fromage', type: 'space', folder: 'fromage_model' } },
  { name: 'fromage-vis4', title: 'the same with four visual tokens, better in dialogue', ...authors, adapter: { repository: 'jykoh/fromage', type: 'space', folder: 'fromage_model/fromage_vis4' } },
];

export function findPreset(name: string): Preset | null {
  return presets.find((preset) => preset.name === name) ?? null;
}
