// EfficientNet-Lite0 as an ONNX graph: a stem, inverted residuals of depthwise-separable convolutions with
// ReLU6 and no squeeze-excitation, a 1×1 head and the mean over all places. The batch norms of the
// checkpoint are folded into the convolutions before them. Weight names are those of the PyTorch port.
import { type Graph, GraphBuilder, type Value } from '../../onnx/graph/index.ts';

/** (kernel, stride, expansion, channels, repeats) of each stage; only the first block of a stage strides. */
const stages = [
  [3, 1, 1, 16, 1], [3, 2, 6, 24, 2], [5, 2, 6, 40, 2], [3, 2, 6, 80, 3], [5, 1, 6, 112, 3], [5, 2, 6, 192, 4], [3, 1, 6, 320, 1],
] as const;
const stemChannels = 32;
const headChannels = 1280;
const batchNormEpsilon = 1e-3;

/** What the graph needs of a weight store: a tensor by name as float32, its shape checked. */
export interface FloatWeights {
  /** @throws FromageError when it is missing or of another shape */
  read(name: string, shape: readonly number[]): Float32Array;
}

/** Width of the pooled output. */
export const efficientNetLite0Width = headChannels;

/**
 * Builds `pixel_values [batch, 3, size, size]` -> `pooled_output [batch, 1280]`, weights inside (14 MB).
 *
 * @param size side of the picture in pixels; 224 is what the weights were trained with
 */
export function efficientNetLite0Graph(weights: FloatWeights, size: number): Graph {
  const graph = new GraphBuilder('efficientnet-lite0');
  const layer = new ConvolutionLayers(graph, weights);
  const pixels = graph.input('pixel_values', 'float32', ['batch', 3, size, size]);
  let x: Feature = layer.apply({ value: pixels, channels: 3, size }, '_conv_stem', '_bn0', { kernel: 3, stride: 2, channels: stemChannels, relu6: true });
  let block = 0;
  for (const [kernel, firstStride, expansion, channels, repeats] of stages) {
    for (let i = 0; i < repeats; i++) x = invertedResidual(graph, layer, x, `_blocks.${block++}`, { kernel, stride: i === 0 ? firstStride : 1, expansion, channels });
  }
  x = layer.apply(x, '_conv_head', '_bn1', { kernel: 1, stride: 1, channels: headChannels, relu6: true });
  const pooled = graph.op('Flatten', [graph.op('GlobalAveragePool', [x.value])], { axis: 1 });
  graph.output(pooled, 'pooled_output', 'float32', ['batch', headChannels]);
  return graph.build();
}

/** `[batch, channels, size, size]` */
interface Feature {
  readonly value: Value;
  readonly channels: number;
  readonly size: number;
}

interface BlockShape {
  readonly kernel: number;
  readonly stride: number;
  readonly expansion: number;
  readonly channels: number;
}

/** Widen by 1×1, filter each channel alone, narrow by 1×1 without activation; added to the input where shapes agree. */
function invertedResidual(graph: GraphBuilder, layer: ConvolutionLayers, input: Feature, name: string, shape: BlockShape): Feature {
  const { kernel, stride, expansion, channels } = shape;
  const inner = input.channels * expansion;
  const wide = expansion === 1 ? input : layer.apply(input, `${name}._expand_conv`, `${name}._bn0`, { kernel: 1, stride: 1, channels: inner, relu6: true });
  const filtered = layer.apply(wide, `${name}._depthwise_conv`, `${name}._bn1`, { kernel, stride, channels: inner, depthwise: true, relu6: true });
  const narrow = layer.apply(filtered, `${name}._project_conv`, `${name}._bn2`, { kernel: 1, stride: 1, channels });
  if (stride !== 1 || channels !== input.channels) return narrow;
  return { ...narrow, value: graph.op('Add', [narrow.value, input.value], {}, { name: `${name}/residual` }) };
}

interface ConvolutionShape {
  readonly kernel: number;
  readonly stride: number;
  readonly channels: number;
  readonly depthwise?: boolean;
  readonly relu6?: boolean;
}

/** Convolution, folded batch norm and ReLU6. */
class ConvolutionLayers {
  readonly #graph: GraphBuilder;
  readonly #weights: FloatWeights;
  readonly #zero: Value;
  readonly #six: Value;

  constructor(graph: GraphBuilder, weights: FloatWeights) {
    this.#graph = graph;
    this.#weights = weights;
    this.#zero = graph.scalar(0);
    this.#six = graph.scalar(6);
  }

  apply(input: Feature, conv: string, norm: string, shape: ConvolutionShape): Feature {
    const { kernel, stride, channels } = shape;
    const perGroup = shape.depthwise ? 1 : input.channels;
    const dims = [channels, perGroup, kernel, kernel];
    const { weight, bias } = this.#fold(conv, norm, dims);
    const { size, before, after } = samePadding(input.size, kernel, stride);
    let value = this.#graph.op(
      'Conv',
      [input.value, this.#graph.floats(`${conv}.weight`, dims, weight), this.#graph.floats(`${conv}.bias`, [channels], bias)],
      { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [before, before, after, after], group: shape.depthwise ? channels : 1 },
      { name: conv },
    );
    if (shape.relu6) value = this.#graph.op('Clip', [value, this.#zero, this.#six], {}, { name: `${conv}/relu6` });
    return { value, channels, size };
  }

  /** norm(conv(x)) = x · (w · g / s) + (b − mean · g / s), with s the standard deviation and g the norm's scale. */
  #fold(conv: string, norm: string, dims: readonly number[]): { readonly weight: Float32Array; readonly bias: Float32Array } {
    const channels = dims[0]!;
    const weight = this.#weights.read(`${conv}.weight`, dims);
    const [scale, shift, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((part) => this.#weights.read(`${norm}.${part}`, [channels]));
    const bias = new Float32Array(channels);
    const each = weight.length / channels;
    for (let c = 0; c < channels; c++) {
      const factor = scale![c]! / Math.sqrt(variance![c]! + batchNormEpsilon);
      bias[c] = shift![c]! - mean![c]! * factor;
      for (let i = c * each; i < (c + 1) * each; i++) weight[i]! *= factor;
    }
    return { weight, bias };
  }
}

/** TensorFlow's "same": the result has ceil(size / stride) places, and an odd padding puts its extra one after. */
function samePadding(size: number, kernel: number, stride: number): { readonly size: number; readonly before: number; readonly after: number } {
  const result = Math.ceil(size / stride);
  const total = Math.max(0, (result - 1) * stride + kernel - size);
  const before = Math.floor(total / 2);
  return { size: result, before, after: total - before };
}
