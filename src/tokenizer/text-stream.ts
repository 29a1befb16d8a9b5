// Streaming detokenisation: bytes of tokens go through an incremental UTF-8 decoder, so that a code point
// spread over several tokens comes out whole.
import { TextDecoder } from 'node:util';
import type { TextStream } from './types.ts';

/** A stream over byte-level tokens. `bytesOf` gives null for tokens that are left out. */
export function createByteStream(bytesOf: (id: number) => Uint8Array | null): TextStream {
  let decoder = newDecoder();
  return {
    push(id) {
      const bytes = bytesOf(id);
      return bytes === null ? '' : decoder.decode(bytes, { stream: true });
    },
    flush() {
      const rest = decoder.decode();
      decoder = newDecoder();
      return rest;
    },
  };
}

/** A byte-order mark is a character like any other. */
export function newDecoder(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}

/**
 * A stream over any decoder: all ids so far are decoded again and what is new and settled is given out.
 * Quadratic, so it serves only tokenizers that are not byte-level (SentencePiece).
 */
export function createPrefixStream(decode: (ids: readonly number[]) => string): TextStream {
  let ids: number[] = [];
  let given = '';
  return {
    push(id) {
      ids.push(id);
      const text = decode(ids);
      // An unfinished byte sequence shows as U+FFFD at the end and may still change.
      if (text.endsWith('\ufffd') || !text.startsWith(given)) return '';
      const piece = text.slice(given.length);
      given = text;
      return piece;
    },
    flush() {
      const text = ids.length === 0 ? '' : decode(ids);
      const piece = text.startsWith(given) ? text.slice(given.length) : '';
      ids = [];
      given = '';
      return piece;
    },
  };
}
