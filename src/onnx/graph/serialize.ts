// Writes a `Graph` as the bytes of an ONNX model. External tensors are named by absolute path without
// the leading slash; the session is given '/' as their folder, so one model may point at many files.
import onnxProto from 'onnx-proto';
import { FromageError } from '../../errors.ts';
import type { AttributeValue, ElementType, Graph, GraphPort, Initializer, InlineTensor } from './builder.ts';

const { onnx } = onnxProto;

/** TensorProto.DataType by our names. */
const dataTypes: Record<ElementType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11, bfloat16: 16 };

const opsetVersion = 20;
/** IR 9 is the first that goes with opset 20. */
const irVersion = 9;

/** @returns the protobuf bytes; at most a few megabytes, since weights stay outside */
export function toModelBytes(graph: Graph): Uint8Array {
  const model = onnx.ModelProto.create({
    irVersion,
    producerName: 'fromage',
    opsetImport: [{ domain: '', version: opsetVersion }, { domain: 'com.microsoft', version: 1 }],
    graph: {
      name: graph.name,
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
      initializer: [...graph.initializers.values()].map(initializer),
      node: graph.nodes.map((node) => ({
        opType: node.op,
        domain: node.domain,
        name: node.name,
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value)),
      })),
    },
  });
  return onnx.ModelProto.encode(model).finish();
}

function valueInfo(port: GraphPort) {
  return {
    name: port.name,
    type: {
      tensorType: {
        elemType: dataTypes[port.type],
        shape: { dim: port.shape.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
      },
    },
  };
}

function initializer(tensor: Initializer) {
  const head = { name: tensor.name, dataType: dataTypes[tensor.type], dims: [...tensor.dims] };
  if (tensor.kind === 'inline') return { ...head, rawData: tensor.data };
  if (!tensor.file.startsWith('/') && process.platform !== 'win32') {
    throw new FromageError({ code: 'ONNX_PATH_RELATIVE', what: `tensor ${tensor.name} names the file ${tensor.file}`, why: 'external data needs an absolute path' });
  }
  const entries = { location: tensor.file.replace(/^\//, ''), offset: String(tensor.offset), length: String(tensor.byteLength) };
  return {
    ...head,
    dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  };
}

function attribute(name: string, value: AttributeValue) {
  const types = onnx.AttributeProto.AttributeType;
  if (typeof value === 'number') return { name, type: types.INT, i: value };
  if (typeof value === 'string') return { name, type: types.STRING, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: types.FLOAT, f: value.float };
  if ('floats' in value) return { name, type: types.FLOATS, floats: [...value.floats] };
  if ('tensor' in value) return { name, type: types.TENSOR, t: tensorProto(value.tensor) };
  const list = value as readonly (number | string)[];
  if (list.every((item) => typeof item === 'number')) return { name, type: types.INTS, ints: [...list] as number[] };
  return { name, type: types.STRINGS, strings: list.map((item) => new TextEncoder().encode(String(item))) };
}

function tensorProto(tensor: InlineTensor) {
  return { dataType: dataTypes[tensor.type], dims: [...tensor.dims], rawData: tensor.data };
}
