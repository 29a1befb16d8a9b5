// What a reader must be able to see in a plot: single points, lines that lie on each other, named places.
import { expect, test } from '@jest/globals';
import { drawPlot } from '../../src/training/plot.ts';

test('a line of one point is seen: after the first validation there is no more', () => {
  const svg = drawPlot({ title: 'Recall', x: 'step', y: 'percent', lines: [{ name: 'text to image @1', points: [[500, 12.5]] }] });
  expect(svg.match(/<circle/g)).toHaveLength(1);
  expect(svg).not.toMatch(/NaN|Infinity/);
});

test('of two lines that lie on each other the second is dashed, in the legend too', () => {
  const points = [[1, 2], [2, 3]] as const;
  const svg = drawPlot({ title: 'Losses', x: 'step', y: 'nats', lines: [{ name: 'text to image', points }, { name: 'image to text', points }] });
  expect(svg.match(/stroke-dasharray/g)).toHaveLength(2);
});

test('a line of many points has no dots, and named places stand in for numbers', () => {
  const points = Array.from({ length: 2000 }, (_, i) => [i, i % 7] as const);
  const svg = drawPlot({ title: 'Losses', x: 'factor', y: 'nats', lines: [{ name: 'captioning', points }], places: [[0, 'a quarter'], [1999, 'eight']] });
  expect(svg).not.toContain('<circle');
  expect(svg.match(/text-anchor="middle">[^<]*/g)).toEqual(expect.arrayContaining([expect.stringContaining('a quarter'), expect.stringContaining('eight')]));
  expect(svg).not.toContain('>500<');
});
