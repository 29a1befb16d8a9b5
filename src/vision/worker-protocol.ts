// What passes between the process that wants pictures decoded and the child that does it.
import type { PlainError } from '../errors.ts';
import type { PixelValues } from './preprocess.ts';
import type { DecodeOptions, EncodedPicture, Picture, PictureLimits, PicturePreset, SanitizeOptions } from './types.ts';

/** Every kind of job: its arguments after the bytes, and its result. */
export interface PictureJobs {
  decode: { readonly options: DecodeOptions; readonly result: Picture };
  preprocess: { readonly options: { readonly preset: PicturePreset; readonly limits: PictureLimits }; readonly result: PixelValues };
  sanitize: { readonly options: SanitizeOptions; readonly result: EncodedPicture };
  thumbnail: { readonly options: { readonly side: number; readonly limits: PictureLimits }; readonly result: EncodedPicture };
  perceptualHash: { readonly options: PictureLimits; readonly result: string };
}

export type PictureJobKind = keyof PictureJobs;

export type PictureJob = {
  [K in PictureJobKind]: { readonly id: number; readonly kind: K; readonly bytes: Uint8Array; readonly options: PictureJobs[K]['options'] };
}[PictureJobKind];

export type PictureAnswer =
  | { readonly id: number; readonly result: PictureJobs[PictureJobKind]['result'] }
  | { readonly id: number; readonly error: PlainError };

/** The child ends with this code when it holds more memory than it may. */
export const memoryExitCode = 71;
