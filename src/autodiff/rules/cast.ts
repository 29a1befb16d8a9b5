// Cast between float types hands the gradient back in the type it came from; to and from whole numbers
// nothing flows.
import type { Rule } from '../adjoint.ts';

const codes: Readonly<Record<string, number>> = { float32: 1, float16: 10, float64: 11, bfloat16: 16 };

export const cast: Rule = {
  backward: (a) =>
    a.each(() => {
      const code = codes[a.type(0) ?? ''];
      if (code === undefined) throw a.unsupported(`the element type of its input is ${a.type(0) ?? 'unknown'}`);
      return a.op('Cast', [a.gradient], { to: code });
    }),
};

/** Data types of TensorProto that are floating-point. */
export const floatTypes: ReadonlySet<number> = new Set(Object.values(codes));
