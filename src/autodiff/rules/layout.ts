// Operators that only move entries: the gradient moves back the same way.
import type { Value } from '../../onnx/graph/index.ts';
import type { Adjoint, Rule } from '../adjoint.ts';

/** Reshape, Squeeze, Unsqueeze, Flatten. */
export const reshape: Rule = { through: [0], backward: (a) => a.each(() => a.reshapeLike(a.gradient, 0)) };

export const expand: Rule = { through: [0], backward: (a) => a.each(() => a.reduceTo(a.gradient, 0)) };

export const transpose: Rule = {
  backward(a) {
    const perm = a.ints('perm');
    if (!perm) return a.each(() => a.op('Transpose', [a.gradient]));
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return a.each(() => a.op('Transpose', [a.gradient], { perm: inverse }));
  },
};

/** Parts without a gradient count as zeros. */
export const split: Rule = {
  through: [0],
  backward(a) {
    const parts = a.node.outputs.map((_, i) => a.gradientOf(i) ?? a.op('ConstantOfShape', [a.op('Shape', [a.output(i)])]));
    return a.each(() => a.op('Concat', parts, { axis: a.int('axis', 0) }));
  },
};

export const concat: Rule = {
  backward(a) {
    const count = a.node.inputs.length;
    const axis = a.int('axis', 0);
    const sizes = a.node.inputs.map((_, i) => a.shape(i)?.at(axis));
    if (sizes.every((size) => typeof size === 'number')) {
      const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
      return a.each(
        ...sizes.map((size, i) => () => a.op('Slice', [a.gradient, a.graph.ints([starts[i]!]), a.graph.ints([starts[i]! + size]), a.graph.ints([axis])])),
      );
    }
    const lengths = a.op('Concat', a.node.inputs.map((_, i) => a.op('Gather', [a.shapeTensor(i), a.graph.ints([axis])])), { axis: 0 });
    const parts = a.graph.ops('Split', [a.gradient, lengths], { axis }, { outputs: count });
    return a.each(...parts.map((part) => () => part));
  },
};

/** Constant starts; steps of one go back by padding, one stepped axis by scattering. */
export const slice: Rule = {
  through: [0],
  backward: (a) =>
    a.each(() => {
      const starts = a.constant(1);
      if (!starts) throw a.unsupported('the starts of the slice are not constants');
      const axes = a.has(3) ? a.constant(3) : starts.map((_, i) => i);
      const steps = a.has(4) ? a.constant(4) : starts.map(() => 1);
      if (!axes || !steps) throw a.unsupported('the axes or steps of the slice are not constants');
      if (steps.every((step) => step === 1)) return padBack(a, a.gradient, starts, axes);
      if (axes.length !== 1) throw a.unsupported('steps are covered along one axis at a time');
      const axis = axes[0]!;
      const length = a.op('Gather', [a.shapeTensor(0), a.graph.ints([axis], [])]);
      const all = a.op('Range', [a.graph.ints([0], []), length, a.graph.ints([1], [])]);
      const taken = a.op('Slice', [all, a.input(1), a.input(2), a.graph.ints([0]), a.input(4)]);
      return scatterBack(a, taken, 1, axis);
    }),
};

export const gather: Rule = {
  through: [0],
  backward: (a) =>
    a.each(() => {
      const rank = a.rank(0);
      const axis = a.int('axis', 0) < 0 ? a.int('axis', 0) + rank : a.int('axis', 0);
      const constant = a.constant(1);
      const indexRank = a.rank(1);
      if (constant?.length === 1) {
        const open = indexRank === 0 ? a.op('Unsqueeze', [a.gradient, a.graph.ints([axis])]) : a.gradient;
        if (indexRank <= 1) return padBack(a, open, constant, [axis]);
      }
      return scatterBack(a, a.input(1), indexRank, axis);
    }),
};

export const gatherND: Rule = {
  through: [0],
  backward(a) {
    if (a.int('batch_dims', 0) !== 0) throw a.unsupported('batch_dims is not covered');
    const depth = a.shape(1)?.at(-1);
    if (typeof depth !== 'number') throw a.unsupported('the length of its index tuples does not follow from the graph');
    return a.each(() => {
      // Tuples become row numbers of the data with its first axes in one.
      const dims = a.op('Slice', [a.shapeTensor(0), a.graph.ints([0]), a.graph.ints([depth])]);
      const tuples = a.op('Where', [a.op('Less', [a.input(1), a.graph.ints([0])]), a.op('Add', [a.input(1), dims]), a.input(1)]);
      const part = (value: Value, i: number) => a.op('Slice', [value, a.graph.ints([i]), a.graph.ints([i + 1]), a.graph.ints([-1])]);
      let rows = part(tuples, 0);
      for (let i = 1; i < depth; i++) rows = a.op('Add', [a.op('Mul', [rows, part(dims, i)]), part(tuples, i)]);
      const rest = a.op('Slice', [a.shapeTensor(0), a.graph.ints([depth]), a.graph.ints([2 ** 31 - 1])]);
      const flat = a.op('Concat', [a.graph.ints([-1]), rest], { axis: 0 });
      const zeros = a.op('Reshape', [a.zerosLike(0), flat]);
      return a.op('Reshape', [scatterRows(a, zeros, a.op('Reshape', [rows, a.graph.ints([-1])]), a.op('Reshape', [a.gradient, flat]), 0, a.rank(0) - depth + 1), a.shapeTensor(0)]);
    });
  },
};

export const gatherElements: Rule = {
  through: [0],
  backward: (a) => a.each(() => a.op('ScatterElements', [a.zerosLike(0), a.input(1), a.gradient], { axis: a.int('axis', 0), reduction: 'add' })),
};

/** Replaced rows (no reduction): the data's gradient has a hole where the updates' gradient was taken. */
export const scatterND: Rule = {
  through: [0, 2],
  backward(a) {
    const reduction = a.node.attributes['reduction'];
    if (reduction !== undefined && reduction !== 'none') throw a.unsupported(`the reduction ${String(reduction)} is not covered`);
    return a.each(
      () => a.op('ScatterND', [a.gradient, a.input(1), a.zerosLike(2)]),
      null,
      () => a.op('GatherND', [a.gradient, a.input(1)]),
    );
  },
};

/** Zeros around a block that began at `starts` along `axes`. */
function padBack(a: Adjoint, block: Value, starts: readonly number[], axes: readonly number[]): Value {
  const shape = a.shape(0);
  const rank = shape?.length;
  const along = a.graph.ints(axes);
  const dims = a.op('Gather', [a.shapeTensor(0), a.graph.ints(axes.map((axis) => (axis < 0 && rank !== undefined ? axis + rank : axis)))]);
  const length = a.op('Gather', [a.op('Shape', [block]), along]);
  const zero = a.graph.ints([0]);
  const given = a.graph.ints(starts);
  const counted = starts.every((start) => start >= 0) ? given : a.op('Where', [a.op('Less', [given, zero]), a.op('Max', [a.op('Add', [given, dims]), zero]), given]);
  const before = a.op('Min', [counted, dims]);
  const after = a.op('Sub', [a.op('Sub', [dims, before]), length]);
  return a.op('Pad', [block, a.op('Concat', [before, after], { axis: 0 }), a.graph.scalar(0), along]);
}

/** Adds the gradient's slices into zeros at the indices they were taken from. */
function scatterBack(a: Adjoint, indices: Value, indexRank: number, axis: number): Value {
  const rank = a.rank(0);
  const at = axis < 0 ? axis + rank : axis;
  const shape = a.shapeTensor(0);
  const part = (from: number, to: number) => a.op('Slice', [shape, a.graph.ints([from]), a.graph.ints([to])]);
  const flat = a.op('Concat', [part(0, at), a.graph.ints([-1]), part(at + 1, rank)], { axis: 0 });
  const one = indexRank === 1;
  const block = one ? a.gradient : a.op('Reshape', [a.gradient, flat]);
  return scatterRows(a, a.zerosLike(0), one ? indices : a.op('Reshape', [indices, a.graph.ints([-1])]), block, at, rank);
}

/**
 * `into[…, rows[i], …] += block[…, i, …]` along one axis. By ScatterElements, which works in order: ONNX
 * Runtime's ScatterND adds duplicates in whichever order its threads come, so that no two runs agree.
 */
function scatterRows(a: Adjoint, into: Value, rows: Value, block: Value, axis: number, rank: number): Value {
  const along = a.reshape(rows, Array.from({ length: rank }, (_, i) => (i === axis ? -1 : 1)));
  return a.op('ScatterElements', [into, a.op('Expand', [along, a.op('Shape', [block])]), block], { axis, reduction: 'add' });
}
