// What a run says of its `caption<TAB>image` data.
import type { CaptionData } from '../data/captions.ts';
import type { RunRequest } from './types.ts';

export function captionData({ data, images, limit, captions, fetchPicture }: RunRequest & { readonly data: string }): CaptionData {
  return {
    data,
    ...(images === undefined ? {} : { images }),
    ...(limit === undefined ? {} : { limit }),
    ...(captions === undefined ? {} : { captions }),
    ...(fetchPicture === undefined ? {} : { fetchPicture }),
  };
}
