export { GraphBuilder, bytesOf } from './builder.ts';
export type { AttributeValue, Dimension, ElementType, ExternalTensor, Graph, GraphNode, GraphPort, Initializer, InlineTensor, OpOptions, Value } from './builder.ts';
export { toModelBytes } from './serialize.ts';
