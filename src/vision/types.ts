// What the room of pictures takes and gives: plain pixels, the limits that hostile files are held to, and
// the preset that says how a vision encoder wants its pictures.

/** Decoded pixels, 8 bits a channel, row-major, interleaved. The receiver owns `data`. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  /** `[height, width, channels]` */
  readonly data: Uint8Array;
}

export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'gif';

/** What a picture may cost at most. */
export interface PictureLimits {
  /** Encoded bytes; default 20 MB. */
  readonly maxBytes?: number;
  /** Width × height as the header states it, checked before any pixel is decoded; default 40 million. */
  readonly maxPixels?: number;
  /** Milliseconds for decoding, rounded up to whole seconds by the decoder; default 10,000. */
  readonly timeoutMs?: number;
}

/** An opaque colour, 0 to 255 each. */
export interface Colour {
  readonly r: number;
  readonly g: number;
  readonly b: number;
}

/**
 * What becomes of transparency: `drop` forgets the alpha channel and keeps the colours under it, as PIL's
 * `convert('RGB')`; a colour is laid under the picture; `keep` leaves four channels where there were four.
 */
export type AlphaRule = 'drop' | 'keep' | { readonly background: Colour };

export interface DecodeOptions extends PictureLimits {
  /** Default `drop`. */
  readonly alpha?: AlphaRule;
  /**
   * `ignore` (default) takes RGB numbers as they are stored, as PIL does and encoders were trained;
   * `apply` converts by the embedded profile to sRGB, for pictures that people look at. CMYK is always converted.
   */
  readonly profile?: 'ignore' | 'apply';
}

/** Kernels of Pillow that encoders are trained with. */
export type ResampleFilter = 'bilinear' | 'bicubic';

export type ResizeRule =
  | { readonly kind: 'none' }
  /** The shorter side becomes `size`, the longer one trunc(size · long / short). */
  | { readonly kind: 'shortest'; readonly size: number }
  /** Both sides are set; the aspect ratio is not kept. */
  | { readonly kind: 'squeeze'; readonly width: number; readonly height: number };

/** How one vision encoder wants its pictures: value = (byte · rescale − mean) / std per channel. */
export interface PicturePreset {
  readonly alpha: 'drop' | { readonly background: Colour };
  readonly resize: ResizeRule;
  readonly filter: ResampleFilter;
  /** Centre crop; smaller pictures are padded with black. Null leaves the size as it is. */
  readonly crop: { readonly width: number; readonly height: number } | null;
  readonly rescale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

export interface SanitizeOptions extends PictureLimits {
  /** Longest side of the result in pixels; smaller pictures keep their size. Default 2048. */
  readonly maxSide?: number;
  /** Default: `png` where the picture is transparent, else `jpeg`. */
  readonly format?: 'jpeg' | 'png' | 'webp';
}

/** A freshly encoded picture: no metadata, nothing of the old file but its pixels. */
export interface EncodedPicture {
  readonly bytes: Uint8Array;
  readonly mimeType: 'image/jpeg' | 'image/png' | 'image/webp';
  readonly width: number;
  readonly height: number;
}
