// A small seeded generator, so that the same seed gives the same answer on every machine.

/**
 * xoshiro128** by Blackman and Vigna (2018), its state filled by splitmix32.
 *
 * @param seed any safe integer
 * @returns uniform numbers in [0, 1) with 53 bits
 */
export function createRandom(seed: number): () => number {
  let mixed = (seed >>> 0) ^ Math.imul(Math.floor(seed / 0x1_0000_0000) >>> 0, 0x9e3779b9);
  const splitmix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let d = splitmix() | 1; // never all zero
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  return () => (next() * 0x20_0000 + (next() >>> 11)) / 0x20_0000_0000_0000;
}

/** A seed for requests that bring none, small enough to be read aloud. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
