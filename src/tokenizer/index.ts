export { openClipTokenizer } from './clip.ts';
export type { ClipTokenizer } from './clip.ts';
export { openTokenizer } from './from-files.ts';
export { tokenizerFromGguf } from './from-gguf.ts';
export { imageToken, retToken, withFromageTokens } from './tokenizer.ts';
export type { DecodeOptions, EncodeOptions, TextPiece, TextStream, Tokenizer } from './types.ts';
