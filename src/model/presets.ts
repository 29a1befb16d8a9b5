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
  /** A hub id, or what to do where the authors keep it elsewhere. */
  readonly adapter?: { readonly repository: string } | { readonly byHand: string };
  /** The paper's k, which the adapter must have. */
  readonly visualTokens?: number;
  readonly promptStyle?: PromptStyle;
}

const authors = { languageModel: 'facebook/opt-6.7b', visionEncoder: 'openai/clip-vit-large-patch14', promptStyle: 'qa' } as const;

/**
 * The authors keep both adapters in their GitHub repository (kohjingyu/fromage: `fromage_model/`, about 11 MB,
 * and `fromage_model/fromage_vis4/`) and the one with four visual tokens on the hub too (jykoh/fromage).
 */
export const presets: readonly Preset[] = [
  { name: 'starter', title: 'SmolLM2-135M-Instruct and EfficientNet-Lite0, with this repository', folder: join(import.meta.dirname, '../../models/starter') },
  {
    name: 'fromage',
    title: "the paper's model: OPT-6.7B, CLIP ViT-L/14, one visual token",
    ...authors,
    visualTokens: 1,
    adapter: { byHand: 'put model_args.json and pretrained_ckpt.pth.tar of the folder fromage_model of https://github.com/kohjingyu/fromage into a folder of their own and name it with --adapter (or FROMAGE_ADAPTER)' },
  },
  { name: 'fromage-vis4', title: 'the same with four visual tokens, better in dialogue', ...authors, visualTokens: 4, adapter: { repository: 'jykoh/fromage' } },
];

export function findPreset(name: string): Preset | null {
  return presets.find((preset) => preset.name === name) ?? null;
}
