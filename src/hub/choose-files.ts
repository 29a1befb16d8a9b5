// Of all that a repository holds, the files that Fromage reads: configuration, tokenizer, licence, and one
// form of the weights — safetensors before PyTorch's, never both.
import { FromageError } from '../errors.ts';

const small = new Set([
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'LICENSE',
  'LICENSE.md',
  'LICENSE.txt',
]);

/** Adapters: ours, and the authors'. */
const adapters = [
  ['adapter.json', 'adapter.safetensors'],
  ['model_args.json', 'pretrained_ckpt.pth.tar'],
];

/** What holds weights: one of these, tried in this order. */
const forms: readonly { readonly whole: string; readonly index: string; readonly shard: RegExp }[] = [
  { whole: 'model.safetensors', index: 'model.safetensors.index.json', shard: /^model-\d{5}-of-\d{5}\.safetensors$/ },
  { whole: 'pytorch_model.bin', index: 'pytorch_model.bin.index.json', shard: /^pytorch_model-\d{5}-of-\d{5}\.bin$/ },
];

/** True for files whose size does not matter beside weights. */
export function isSmallFile(path: string): boolean {
  return small.has(path) || path.endsWith('.index.json') || path === 'model_args.json' || path === 'adapter.json';
}

/** @throws FromageError `HUB_FILES` when there is no model or adapter among them */
export function chooseFiles<T extends { readonly path: string }>(entries: readonly T[], id: string): readonly T[] {
  const has = (path: string) => entries.some((entry) => entry.path === path);
  const wanted = new Set([...small].filter(has));
  const adapter = adapters.find((files) => files.every(has));
  const form = forms.find(({ whole, index }) => has(whole) || has(index));
  const ggufs = entries.filter(({ path }) => /^[^/]+\.gguf$/.test(path));
  if (form !== undefined && has('config.json')) {
    if (has(form.whole)) wanted.add(form.whole);
    else for (const { path } of entries) if (path === form.index || form.shard.test(path)) wanted.add(path);
  } else if (ggufs.length === 1) wanted.add(ggufs[0]!.path);
  else if (adapter === undefined) {
    const why = ggufs.length > 1 ? `it holds ${ggufs.length} GGUF files and only one can be meant` : 'it holds neither config.json with weights in safetensors or PyTorch form, nor one GGUF, nor an adapter';
    throw new FromageError({ code: 'HUB_FILES', what: `${id} is not a model that can be fetched whole`, why, todo: ggufs.length > 1 ? 'download the file you want yourself and name it with --lm' : 'choose a model of the supported families (docs/models.md)' });
  }
  for (const file of adapter ?? []) wanted.add(file);
  return entries.filter(({ path }) => wanted.has(path));
}
