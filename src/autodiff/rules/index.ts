// The table from operator to rule.
import type { GraphNode } from '../../onnx/graph/index.ts';
import type { Rule } from '../adjoint.ts';
import { intAttribute } from '../shapes.ts';
import { erf, gelu, logSoftmax, quickGelu, relu, sigmoid, softmax, softplus, tanh } from './activation.ts';
import { cast, floatTypes } from './cast.ts';
import { abs, add, cos, div, exp, identity, log, mul, neg, pow, reciprocal, sin, sqrt, sub, sum, where } from './elementwise.ts';
import { concat, expand, gather, gatherElements, gatherND, reshape, scatterND, slice, split, transpose } from './layout.ts';
import { gemm, matMul } from './linear.ts';
import { layerNormalization, simplifiedLayerNormalization } from './normalization.ts';
import { reduceMean, reduceSum } from './reduction.ts';
import { rotaryEmbedding } from './rotary.ts';

const rules: ReadonlyMap<string, Rule> = new Map([
  ['MatMul', matMul], ['com.microsoft.FusedMatMul', matMul], ['Gemm', gemm],
  ['Add', add], ['Sub', sub], ['Mul', mul], ['Div', div], ['Pow', pow], ['Sum', sum], ['Where', where],
  ['Identity', identity], ['Neg', neg], ['Exp', exp], ['Log', log], ['Sqrt', sqrt], ['Reciprocal', reciprocal], ['Sin', sin], ['Cos', cos], ['Abs', abs],
  ['Relu', relu], ['Sigmoid', sigmoid], ['Tanh', tanh], ['Softplus', softplus], ['Erf', erf], ['Gelu', gelu], ['com.microsoft.Gelu', gelu],
  ['com.microsoft.QuickGelu', quickGelu], ['Softmax', softmax], ['LogSoftmax', logSoftmax],
  ['LayerNormalization', layerNormalization], ['SimplifiedLayerNormalization', simplifiedLayerNormalization],
  ['ReduceSum', reduceSum], ['ReduceMean', reduceMean],
  ['Reshape', reshape], ['Squeeze', reshape], ['Unsqueeze', reshape], ['Flatten', reshape], ['Expand', expand], ['Transpose', transpose],
  ['Split', split], ['Concat', concat], ['Slice', slice], ['Gather', gather], ['GatherND', gatherND], ['GatherElements', gatherElements], ['ScatterND', scatterND],
  ['com.microsoft.RotaryEmbedding', rotaryEmbedding], ['Cast', cast],
]);

/** Operators whose outputs do not depend smoothly on anything: gradients end there. */
const stopping = new Set([
  'Shape', 'Size', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Not', 'And', 'Or', 'Xor', 'NonZero', 'ArgMax', 'ArgMin',
  'ConstantOfShape', 'Range', 'Sign', 'Floor', 'Ceil', 'Round', 'IsNaN', 'IsInf',
]);

/** Every operator with a rule; those of another domain with its name in front. */
export const differentiableOperators: readonly string[] = [...rules.keys()];

export function ruleOf(node: GraphNode): Rule | undefined {
  return rules.get(node.domain === '' ? node.op : `${node.domain}.${node.op}`);
}

export function stops(node: GraphNode): boolean {
  return (node.domain === '' && stopping.has(node.op)) || (node.op === 'Cast' && !floatTypes.has(intAttribute(node, 'to', 0)));
}
