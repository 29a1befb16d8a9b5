// What a tokenizer gives the rest of the program. Special tokens come only from us: text typed by a user
// is encoded so that it can never become one.

export interface EncodeOptions {
  /** True: special tokens in the text are parsed (our own templates). False: the text is a user's. */
  readonly trusted: boolean;
  /** Puts the tokenizer's begin tokens (`</s>` for OPT) first. Default false. */
  readonly begin?: boolean;
}

/** A stretch of a text that is ours or a user's. */
export interface TextPiece {
  readonly text: string;
  readonly trusted: boolean;
}

export interface DecodeOptions {
  /** Leaves out special tokens, `<|image|>` among them; [RET] is not one of these, as in the reference. Default true. */
  readonly skipSpecial?: boolean;
  /** Leaves out [RET] too. Default false. */
  readonly skipRet?: boolean;
}

/** Turns a growing list of ids into text. The pieces joined equal `decode` of all the ids. */
export interface TextStream {
  /** Text that this token completes; never ends inside a code point. */
  push(id: number): string;
  /** What is held back (an unfinished code point becomes U+FFFD); the stream can be used again. */
  flush(): string;
}

export interface Tokenizer {
  /** Ids lie in `[0, vocabSize)`, those of [RET] and `<|image|>` included. */
  readonly vocabSize: number;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  readonly padTokenId: number | null;
  /** What "with special tokens" puts first; empty for tokenizers that begin with nothing. */
  readonly beginIds: readonly number[];
  /** Null until `withFromageTokens`. */
  readonly retTokenId: number | null;
  /** `<|image|>`, where the adapter was made with one. */
  readonly imageTokenId: number | null;
  /** Ids that user text can never hold. */
  readonly reservedIds: ReadonlySet<number>;
  /** The model's own Jinja chat template. */
  readonly chatTemplate: string | null;
  /** Ids of a text. A user's lone surrogates become U+FFFD, as do characters whose bytes the vocabulary lacks. */
  encode(text: string, options: EncodeOptions): number[];
  /**
   * Ids of one text put together from pieces: special tokens are parsed in trusted pieces only, and all
   * else is encoded as if it had been one string, so that borders between pieces leave no trace.
   */
  encodePieces(pieces: readonly TextPiece[]): number[];
  /** Text of ids; ids outside the vocabulary give nothing. Spaces are not cleaned up. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  createTextStream(options?: DecodeOptions): TextStream;
  /** The id of a token by its exact vocabulary entry or added content. */
  tokenId(token: string): number | null;
  /** The text of one token as added tokens spell it or as the vocabulary stores it; null outside the vocabulary. */
  token(id: number): string | null;
}
