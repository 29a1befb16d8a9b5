import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { resize, resizeBicubic } from '../../src/vision/index.ts';
import { random } from './drawn.ts';

interface Vector {
  readonly width: number;
  readonly height: number;
  readonly targetWidth: number;
  readonly targetHeight: number;
  readonly rgb: string;
  readonly bicubic: string;
  readonly bilinear: string;
}

const { cases } = JSON.parse(readFileSync(new URL('./pillow-resize.json', import.meta.url), 'utf8')) as { cases: Vector[] };

describe('resizing equals Pillow in every byte', () => {
  for (const filter of ['bicubic', 'bilinear'] as const) {
    test.each(cases)(`${filter}, $width × $height to $targetWidth × $targetHeight`, (vector) => {
      const rgb = new Uint8Array(Buffer.from(vector.rgb, 'base64'));
      const result = resize(rgb, vector.width, vector.height, vector.targetWidth, vector.targetHeight, filter);
      expect(Array.from(result)).toEqual(Array.from(Buffer.from(vector[filter], 'base64')));
    });
  }
});

test('a region is the same part of the whole result', () => {
  const next = random(5);
  for (let i = 0; i < 60; i++) {
    const size = (): number => 1 + Math.floor(next() * 30);
    const [width, height, targetWidth, targetHeight] = [size(), size(), size(), size()];
    const rgb = Uint8Array.from({ length: width! * height! * 3 }, () => Math.floor(next() * 256));
    const region = { left: Math.floor(next() * targetWidth!), top: Math.floor(next() * targetHeight!), width: 0, height: 0 };
    region.width = 1 + Math.floor(next() * (targetWidth! - region.left));
    region.height = 1 + Math.floor(next() * (targetHeight! - region.top));
    const whole = resizeBicubic(rgb, width!, height!, targetWidth!, targetHeight!);
    const part = resize(rgb, width!, height!, targetWidth!, targetHeight!, 'bicubic', region);
    const expected: number[] = [];
    for (let y = 0; y < region.height; y++) {
      const start = ((region.top + y) * targetWidth! + region.left) * 3;
      expected.push(...whole.subarray(start, start + region.width * 3));
    }
    expect(Array.from(part)).toEqual(expected);
  }
});

test('the same size gives a copy, not the array itself', () => {
  const rgb = Uint8Array.of(1, 2, 3);
  const result = resizeBicubic(rgb, 1, 1, 1, 1);
  expect(Array.from(result)).toEqual([1, 2, 3]);
  expect(result).not.toBe(rgb);
});
