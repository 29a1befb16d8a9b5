// Random numbers that depend on a seed and a name alone, so that a resumed run draws what an
// uninterrupted one would have drawn.

export interface Random {
  /** In [0, 1). */
  uniform(): number;
  /** In [0, n). */
  integer(n: number): number;
  /** Standard normal. */
  normal(): number;
  /** A new array with the same entries in random order. */
  shuffled<T>(values: readonly T[]): T[];
}

/** @param name what the numbers are for, e.g. `epoch/3` */
export function createRandom(seed: number, name: string): Random {
  let state = hash(`${seed}/${name}`);
  const uniform = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 16), 0x21f0aaad);
    t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
    return ((t ^ (t >>> 15)) >>> 0) / 4294967296;
  };
  const integer = (n: number): number => Math.floor(uniform() * n);
  return {
    uniform,
    integer,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    shuffled(values) {
      const result = [...values];
      for (let i = result.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        [result[i], result[j]] = [result[j]!, result[i]!];
      }
      return result;
    },
  };
}

/** FNV-1a with a final mix. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value ^= value >>> 16;
  value = Math.imul(value, 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}
