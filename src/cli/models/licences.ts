// What is known of the licences of models. A licence that is not plainly free has to be accepted by the
// person who fetches the model; so has a model that names none.

export interface Licence {
  readonly name: string;
  readonly url: string | null;
  /** Any use, commercial too, with no more than attribution. */
  readonly free: boolean;
}

const freeLicences = new Set(['apache-2.0', 'mit', 'bsd', 'bsd-2-clause', 'bsd-3-clause', 'cc0-1.0', 'unlicense', 'isc']);

/** Where a model card's own word is too short. */
const known: readonly { readonly id: RegExp; readonly licence: Licence }[] = [
  {
    id: /^facebook\/opt-/,
    licence: { name: 'OPT-175B licence agreement (non-commercial research only)', url: 'https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/MODEL_LICENSE.md', free: false },
  },
  { id: /^openai\/clip-vit-/, licence: { name: 'MIT (of OpenAI’s repository; the model card asks for research use)', url: 'https://github.com/openai/CLIP/blob/main/LICENSE', free: true } },
];

/** @param onCard the licence of the model card, null when it names none */
export function licenceOf(id: string, onCard: string | null, endpoint: string): Licence {
  const own = known.find((entry) => entry.id.test(id));
  if (own !== undefined) return own.licence;
  const url = `${endpoint}/${id}`;
  return onCard === null ? { name: 'none named', url, free: false } : { name: onCard, url, free: freeLicences.has(onCard.toLowerCase()) };
}
