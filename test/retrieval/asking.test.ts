import { expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { averageVectors, avoidVector, calibrate, projectionPlot, readCalibration, writeCalibration } from '../../src/retrieval/index.ts';
import { drawCurve } from '../../src/retrieval/stored/calibration.ts';
import { NearDuplicates } from '../../src/retrieval/stored/near-duplicates.ts';
import { hammingDistance } from '../../src/vision/index.ts';
import { randomVector } from '../contracts/image-index.ts';

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0) / (Math.hypot(...a) * Math.hypot(...b));

test('text and picture together lie halfway between; a term to avoid pushes away from it', () => {
  const [a, b] = [randomVector(1, 32), randomVector(2, 32)];
  const middle = averageVectors([a, b]);
  expect(cosine(middle, a)).toBeCloseTo(cosine(middle, b), 5);
  expect(Math.hypot(...middle)).toBeCloseTo(1, 5);
  const away = avoidVector(a, [b]);
  const expected = a.map((value, i) => 3 * value - 2 * b[i]!);
  expect(cosine(away, expected)).toBeCloseTo(1, 5);
  expect(cosine(away, b)).toBeLessThan(cosine(a, b));
  expect(cosine(avoidVector(a, [b, b]), away)).toBeCloseTo(1, 5);
  expect([...avoidVector(a, [])]).toEqual([...averageVectors([a])]);
  expect(() => averageVectors([])).toThrow('RETRIEVAL_VECTOR');
  expect(() => avoidVector(a, [new Float32Array(3)])).toThrow(/32 and 3/);
});

test('near duplicates are found exactly as by comparing all with all', () => {
  const hash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((bits) => bits.toString(16).padStart(16, '0'));
  const flips = fc.array(fc.integer({ min: 0, max: 63 }), { maxLength: 7 });
  fc.assert(
    fc.property(fc.array(hash, { minLength: 1, maxLength: 30 }), fc.nat(), flips, fc.integer({ min: 0, max: 4 }), (hashes, pick, bits, distance) => {
      const known = new NearDuplicates();
      hashes.forEach((one, i) => known.add(`${i}`, i % 2 === 0 ? 'a' : 'b', one));
      const asked = bits.reduce((value, bit) => value ^ (1n << BigInt(bit)), BigInt(`0x${hashes[pick % hashes.length]!}`)).toString(16).padStart(16, '0');
      const near = hashes.flatMap((one, i) => (i % 2 === 0 && hammingDistance(one, asked) <= distance ? [hammingDistance(one, asked)] : []));
      const found = known.find(asked, 'a', distance);
      if (near.length === 0) expect(found).toBeNull();
      else expect(hammingDistance(hashes[Number(found)]!, asked)).toBe(Math.min(...near));
      hashes.forEach((_, i) => known.remove(`${i}`));
      expect([known.size, known.find(asked, 'a')]).toEqual([0, null]);
    }),
  );
});

test('the curve of coverage against precision, and the point that is chosen on it', async () => {
  // The higher the score, the surer: right above 0.5 but for one.
  const answers = Array.from({ length: 100 }, (_, i) => ({ score: i / 100, right: i >= 50 && i !== 90 }));
  const curve = drawCurve(answers);
  expect(curve[0]).toEqual({ threshold: 0, coverage: 1, precision: 0.49 });
  for (const [i, point] of curve.entries()) if (i > 0) expect(point.coverage).toBeLessThan(curve[i - 1]!.coverage);
  const gallery = { find: async ({ vector }: { vector: Float32Array }) => [{ id: vector[1] === 1 ? 'right' : 'wrong', score: vector[0]! } as never] };
  const queries = answers.map(({ score, right }) => ({ vector: Float32Array.of(score, right ? 1 : 0), pictureId: 'right' }));
  const kept = await calibrate(gallery, queries, { tenants: ['all'] }, { coverage: 0.8 });
  expect(kept.threshold).toBeCloseTo(0.2, 5);
  const sure = await calibrate(gallery, queries, { tenants: ['all'] }, { precision: 0.9 });
  expect(sure.threshold).toBeGreaterThan(0.4);
  expect(sure.curve.find(({ threshold }) => threshold === sure.threshold)!.precision).toBeGreaterThanOrEqual(0.9);
  await expect(calibrate(gallery, queries.map((query) => ({ ...query, pictureId: 'never' })), { tenants: ['all'] }, { precision: 0.5 })).rejects.toMatchObject({ code: 'RETRIEVAL_CALIBRATION' });
  await expect(calibrate(gallery, queries.slice(0, 5), { tenants: ['all'] }, { coverage: 0.9 })).rejects.toMatchObject({ code: 'RETRIEVAL_CALIBRATION' });
  const kv = new Map<string, string>();
  const store = { cursor: async (key: string) => kv.get(key) ?? null, setCursor: async (key: string, value: string | null) => void (value === null ? kv.delete(key) : kv.set(key, value)) };
  await writeCalibration(store, 'p', sure);
  expect(await readCalibration(store, 'p')).toEqual(sure);
  expect(await readCalibration(store, 'q')).toBeNull();
});

test('the map has the direction of most difference along x, the next along y, and is the same each time', () => {
  const base = randomVector(9, 16);
  const vectors = Array.from({ length: 40 }, (_, i) => base.map((value, j) => value + (j === 3 ? (i - 20) * 0.1 : 0) + (j === 7 ? ((i * 7) % 40) * 0.02 : 0)));
  const plot = projectionPlot(vectors);
  const xs = plot.points.map(({ x }) => x);
  const rising = xs[39]! > xs[0]!;
  expect(xs.every((x, i) => i === 0 || x > xs[i - 1]! === rising)).toBe(true);
  expect(plot.explained[0]).toBeGreaterThan(0.8);
  expect(plot.explained[0] + plot.explained[1]).toBeCloseTo(1, 3);
  expect(Math.max(...plot.points.flatMap(({ x, y }) => [Math.abs(x), Math.abs(y)]))).toBeCloseTo(1, 5);
  expect(projectionPlot(vectors)).toEqual(plot);
  expect(projectionPlot([])).toEqual({ points: [], explained: [0, 0] });
  expect(projectionPlot([base, base]).points).toEqual([{ x: 0, y: 0 }, { x: 0, y: 0 }]);
});
