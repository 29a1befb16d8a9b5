// The cross entropy of frozen texts. All that is trained in it is one column of each softmax, so that the
// loss follows from the frozen log-sum-exp and one inner product per label.
import { differentiate } from '../../autodiff/index.ts';
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';
import { product } from './caption-graph.ts';

/**
 * With z = h · row the loss of a label is softplus(z − lse) + lse − logit, or − z for the label [RET].
 *
 * Inputs: `label_hidden` `[M, hiddenSize]`, `frozen_lse` `[M, 1]`, `label_logit` `[M, 1]`, `is_ret` bool
 * `[M, 1]`, `ret_embedding` `[hiddenSize]`, `loss_weight` `[]`. Outputs: `loss_sum` `[]` and
 * `gradient/ret_embedding`.
 */
export function retColumnGraph(hiddenSize: number): Graph {
  const graph = new GraphBuilder('ret-column');
  const hidden = graph.input('label_hidden', 'float32', ['M', hiddenSize]);
  const lse = graph.input('frozen_lse', 'float32', ['M', 1]);
  const labelLogit = graph.input('label_logit', 'float32', ['M', 1]);
  const isRet = graph.input('is_ret', 'bool', ['M', 1]);
  const row = graph.input('ret_embedding', 'float32', [hiddenSize]);
  const z = product(graph, hidden, graph.op('Reshape', [row, graph.ints([1, -1])]));
  const whole = graph.op('Add', [graph.op('Softplus', [graph.op('Sub', [z, lse])]), lse]);
  const losses = graph.op('Sub', [whole, graph.op('Where', [isRet, z, labelLogit])]);
  graph.output(graph.op('ReduceSum', [losses], { keepdims: 0 }), 'loss_sum', 'float32', []);
  return differentiate(graph.build(), { cotangents: { loss_sum: 'loss_weight' }, wrt: ['ret_embedding'] });
}
