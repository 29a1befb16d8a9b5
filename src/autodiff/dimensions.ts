// Arithmetic on dimensions that are known by name only: products such as 3·S come out the same however
// they were formed, so that equal shapes are seen to be equal.
import type { Dimension } from '../onnx/graph/index.ts';

/** `3*S*T` written out: a whole factor and names in order. */
interface Product {
  readonly coefficient: number;
  readonly names: readonly string[];
}

export function productOf(dimension: Dimension): Product {
  if (typeof dimension === 'number') return { coefficient: dimension, names: [] };
  const factors = dimension.match(/\([^)]*\)|[^*]+/g) ?? [dimension];
  const first = Number(factors[0]);
  return Number.isInteger(first) ? { coefficient: first, names: factors.slice(1) } : { coefficient: 1, names: factors };
}

function dimensionOf({ coefficient, names }: Product): Dimension {
  if (names.length === 0 || coefficient === 0) return coefficient;
  return [...(coefficient === 1 ? [] : [String(coefficient)]), ...[...names].sort()].join('*');
}

export function multiply(dimensions: readonly Dimension[]): Dimension {
  const parts = dimensions.map(productOf);
  return dimensionOf({ coefficient: parts.reduce((product, { coefficient }) => product * coefficient, 1), names: parts.flatMap(({ names }) => names) });
}

/** Null where the quotient is not a product of the known names. */
export function divide(dividend: Dimension, divisor: Dimension): Dimension | null {
  const above = productOf(dividend);
  const below = productOf(divisor);
  const names = [...above.names];
  for (const name of below.names) {
    const at = names.indexOf(name);
    if (at < 0) return null;
    names.splice(at, 1);
  }
  const coefficient = above.coefficient / below.coefficient;
  return Number.isInteger(coefficient) ? dimensionOf({ coefficient, names }) : null;
}

/** Terms of different names become one name: `(1+T)`, `(S+T)`. */
export function add(dimensions: readonly Dimension[]): Dimension {
  const terms = new Map<string, { names: readonly string[]; coefficient: number }>();
  for (const { coefficient, names } of dimensions.map(productOf)) {
    const key = names.join('*');
    terms.set(key, { names, coefficient: (terms.get(key)?.coefficient ?? 0) + coefficient });
  }
  const written = [...terms.values()].map(dimensionOf).filter((term) => term !== 0);
  return written.length <= 1 ? (written[0] ?? 0) : `(${written.map(String).sort().join('+')})`;
}

/** The terms of a name that `add` made; null for any other. */
export function termsOf(name: string): readonly Dimension[] | null {
  if (!name.startsWith('(')) return null;
  return name.slice(1, -1).split('+').map((term) => (/^\d+$/.test(term) ? Number(term) : term));
}
