// Opens a vision encoder: weights from a file or folder, the graph of their family, and the picture
// preset that goes with them. Pictures go in as bytes, pooled features come out.
import { FromageError } from '../errors.ts';
import { openWeights } from '../formats/index.ts';
import type { WeightStore } from '../formats/types.ts';
import { type Graph, toModelBytes } from '../onnx/graph/index.ts';
import { type Device, float32, openSession } from '../onnx/run/index.ts';
import { type PicturePreset, preprocessPicture, presetSize } from '../vision/index.ts';
import { clipVisionGraph } from './graphs/clip-vision.ts';
import { efficientNetLite0Graph, efficientNetLite0Width } from './graphs/efficientnet-lite.ts';
import type { VisionEncoder } from './types.ts';
import { readClipFolder } from './vision-encoder-config.ts';
import { findPrefix, VisionWeights } from './vision-encoder-weights.ts';

export interface VisionEncoderOptions {
  /**
   * A folder of Hugging Face's form (CLIPVisionModel or CLIPModel, one file or shards), or a weight
   * file: EfficientNet-Lite0's .pth, or one with its config.json beside it.
   */
  readonly source: string;
  /** How pictures are prepared; by default as the files beside the weights say, else as the family was trained. */
  readonly picture?: PicturePreset;
  readonly device?: Device;
  /** Threads inside one operator. */
  readonly threads?: number;
  /** Pictures in one run of the session; more are encoded one batch after the other. Default 8. */
  readonly maxBatch?: number;
}

/** EfficientNet-Lite's training: the whole picture squeezed, transparency on white, (byte − 127) / 128. */
const efficientNetPreset: PicturePreset = {
  alpha: { background: { r: 255, g: 255, b: 255 } },
  resize: { kind: 'squeeze', width: 224, height: 224 },
  filter: 'bicubic',
  crop: null,
  rescale: 1,
  mean: [127, 127, 127],
  std: [128, 128, 128],
};

interface Blueprint {
  readonly graph: Graph;
  readonly picture: PicturePreset;
  readonly imageSize: number;
  readonly width: number;
  readonly hash: string;
}

/**
 * Loads an encoder; `close` gives its memory back.
 *
 * @throws FormatError when the weights cannot be read; FromageError `MODEL_VISION_FAMILY`,
 *   `MODEL_VISION_CONFIG`, `MODEL_VISION_SHAPE`, `ONNX_LOAD`; VisionError `VISION_CONFIG`
 */
export async function loadVisionEncoder(options: VisionEncoderOptions): Promise<VisionEncoder> {
  const store = openWeights(options.source);
  try {
    const { graph, picture, imageSize, width, hash } = drawUp(store, options);
    const session = await openSession(toModelBytes(graph), {
      device: options.device ?? 'cpu',
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    const maxBatch = options.maxBatch ?? 8;
    const volume = 3 * imageSize * imageSize;
    return {
      visionHiddenSize: width,
      imageSize,
      hash,
      preprocess: async (bytes) => (await preprocessPicture(bytes, picture)).data,
      async encode(pixelValues, batch) {
        if (pixelValues.length !== batch * volume) {
          throw new FromageError({ code: 'MODEL_VISION_SHAPE', what: `${pixelValues.length} pixel values were given for ${batch} pictures, expected ${batch * volume}` });
        }
        const pooled = new Float32Array(batch * width);
        for (let first = 0; first < batch; first += maxBatch) {
          const count = Math.min(maxBatch, batch - first);
          const pixels = pixelValues.subarray(first * volume, (first + count) * volume);
          const outputs = await session.run({ pixel_values: float32(pixels, [count, 3, imageSize, imageSize]) });
          pooled.set(outputs.pooled_output!.data as Float32Array, first * width);
        }
        return pooled;
      },
      close: () => session.close(),
    };
  } finally {
    store.close();
  }
}

function drawUp(store: WeightStore, options: VisionEncoderOptions): Blueprint {
  const efficientNet = findPrefix(store, '_conv_stem.weight');
  if (efficientNet !== null) {
    const picture = options.picture ?? efficientNetPreset;
    const imageSize = squareSide(picture);
    const weights = new VisionWeights(store, efficientNet);
    const graph = efficientNetLite0Graph(weights, imageSize);
    return { graph, picture, imageSize, width: efficientNetLite0Width, hash: weights.hash(picture) };
  }
  const tail = 'embeddings.patch_embedding.weight';
  const clip = findPrefix(store, tail);
  if (clip === null) {
    throw new FromageError({
      code: 'MODEL_VISION_FAMILY',
      what: `${options.source} is not a vision encoder that is known`,
      why: `it holds neither CLIP's ${tail} nor EfficientNet-Lite's _conv_stem.weight`,
      todo: 'choose a CLIP vision tower or EfficientNet-Lite0',
    });
  }
  const folder = readClipFolder(options.source);
  const picture = options.picture ?? folder.picture;
  const { imageSize, hiddenSize } = folder.config;
  const side = squareSide(picture);
  if (side !== imageSize) {
    throw new FromageError({
      code: 'MODEL_VISION_CONFIG',
      what: `pictures are prepared at ${side} × ${side} pixels, the encoder takes ${imageSize} × ${imageSize}`,
      todo: 'make crop_size in preprocessor_config.json and image_size in config.json agree',
    });
  }
  const weights = new VisionWeights(store, clip);
  const graph = clipVisionGraph(folder.config, weights);
  return { graph, picture, imageSize, width: hiddenSize, hash: weights.hash(picture) };
}

function squareSide(picture: PicturePreset): number {
  const { width, height } = presetSize(picture);
  if (width === height) return width;
  throw new FromageError({ code: 'MODEL_VISION_CONFIG', what: `pictures are prepared at ${width} × ${height} pixels`, why: 'encoders take squares', todo: 'make the crop a square' });
}
