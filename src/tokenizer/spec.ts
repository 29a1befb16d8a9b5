// The one form in which every source (tokenizer.json, vocab.json + merges.txt, GGUF) hands its tokenizer
// over: the tokenizer.json object plus what stands in the files around it.

export interface AddedTokenSpec {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

/** The parts of tokenizer.json that we look into; the rest is the library's. */
export interface TokenizerJson {
  readonly version?: string;
  readonly added_tokens: readonly AddedTokenSpec[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
    readonly merges?: readonly (string | readonly [string, string])[];
    readonly [key: string]: unknown;
  };
}

export interface TokenizerSpec {
  readonly json: TokenizerJson;
  /** Contents, not ids. */
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly padToken: string | null;
  /** True: bos first; false: nothing first; null: as the post-processor says. */
  readonly addBosToken: boolean | null;
  readonly chatTemplate: string | null;
  /** Named in errors: a file or folder. */
  readonly origin: string;
}
