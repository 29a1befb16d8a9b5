// CLIP's tokenizer: lower-cased byte-pair encoding whose words end in `</w>`. It is built anew from vocabulary
// and merges, whichever files hold them, because releases differ in what they write beside these.
import { FromageError } from '../errors.ts';
import { readPairEncoding } from './from-files.ts';
import { createTokenizer } from './tokenizer.ts';

const beginToken = '<|startoftext|>';
const endToken = '<|endoftext|>';

export interface ClipTokenizer {
  readonly endId: number;
  readonly vocabSize: number;
  /**
   * Begin token, the text's first tokens, end token: `maxLength` ids at most. A text that spells a special
   * token stays text.
   */
  encode(text: string, maxLength: number): number[];
}

/**
 * @param folder holds tokenizer.json, or vocab.json and merges.txt
 * @throws FromageError `TOKENIZER_MISSING` without either, `TOKENIZER_FILE` when they are not CLIP's
 */
export function openClipTokenizer(folder: string): ClipTokenizer {
  const { vocab, merges } = readPairEncoding(folder);
  const idOf = (token: string): number => {
    const id = Object.hasOwn(vocab, token) ? vocab[token] : undefined;
    if (id === undefined) throw new FromageError({ code: 'TOKENIZER_FILE', what: `the tokenizer of ${folder} has no ${token}`, why: 'CLIP’s vocabulary has', todo: 'keep the encoder and its own tokenizer together' });
    return id;
  };
  const [beginId, endId] = [idOf(beginToken), idOf(endToken)];
  const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });
  const tokenizer = createTokenizer({
    json: {
      added_tokens: [special(beginId, beginToken), special(endId, endToken)],
      normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' }] },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+` }, behavior: 'Removed', invert: true },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab, merges, end_of_word_suffix: '</w>', unk_token: endToken },
    },
    bosToken: beginToken,
    eosToken: endToken,
    padToken: null,
    addBosToken: null,
    chatTemplate: null,
    origin: folder,
  });
  return {
    endId,
    vocabSize: tokenizer.vocabSize,
    encode: (text, maxLength) => [beginId, ...tokenizer.encode(lowerCase(text), { trusted: false }).slice(0, Math.max(0, maxLength - 2)), endId],
  };
}

/** Character by character, as the original does it: a capital sigma at the end of a word is not special. */
function lowerCase(text: string): string {
  return Array.from(text.normalize('NFC'), (character) => character.toLowerCase()).join('');
}
