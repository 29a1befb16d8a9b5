// A small line chart as SVG: metrics over steps, readable in any browser without a program.

export interface PlotLine {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly PlotLine[];
  /** Places on the x axis with their names, where the numbers themselves would say little; regular steps otherwise. */
  readonly places?: readonly (readonly [number, string])[];
}

const width = 860;
const height = 440;
const margin = { left: 64, right: 220, top: 44, bottom: 48 };
/** Readable on white, apart for the colour-blind. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000', '#7f7f7f'];
/** More points than this are averaged in groups. */
const pointLimit = 400;
/** Lines of no more points show each of them: one validation is no line yet. */
const dottedLimit = 40;

export function drawPlot({ title, x, y, lines, places }: Plot): string {
  const drawn = lines.map((line) => ({ ...line, points: thin(line.points.filter(([, value]) => Number.isFinite(value))) })).filter(({ points }) => points.length > 0);
  const all = drawn.flatMap(({ points }) => points);
  const [left, right] = range(all.map(([step]) => step), false);
  const [bottom, top] = range(all.map(([, value]) => value), true);
  const px = (step: number) => margin.left + ((step - left) / (right - left)) * (width - margin.left - margin.right);
  const py = (value: number) => height - margin.bottom - ((value - bottom) / (top - bottom)) * (height - margin.top - margin.bottom);
  const label = (text: string, at: string) => `<text ${at}>${escapeXml(text)}</text>`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    label(title, `x="${margin.left}" y="24" font-size="16" font-weight="bold"`),
    label(x, `x="${(margin.left + width - margin.right) / 2}" y="${height - 10}" text-anchor="middle"`),
    label(y, `x="16" y="${height / 2}" text-anchor="middle" transform="rotate(-90 16 ${height / 2})"`),
    ...ticks(bottom, top).map((value) => `<line x1="${margin.left}" x2="${width - margin.right}" y1="${py(value)}" y2="${py(value)}" stroke="#ddd"/>${label(short(value), `x="${margin.left - 6}" y="${py(value) + 4}" text-anchor="end"`)}`),
    ...(places ?? ticks(left, right).map((value) => [value, short(value)] as const)).map(([value, name]) => label(name, `x="${px(value)}" y="${height - margin.bottom + 18}" text-anchor="middle"`)),
    ...drawn.map(({ name, points }, i) => {
      const colour = colours[i % colours.length]!;
      const at = points.map(([step, value]) => [px(step).toFixed(1), py(value).toFixed(1)] as const);
      const dots = at.length > dottedLimit ? '' : at.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`).join('');
      // Every second one is dashed, so that two that lie on each other are both seen.
      const stroke = `stroke="${colour}"${i % 2 === 1 ? ' stroke-dasharray="6 4"' : ''}`;
      const legend = margin.top + 8 + i * 20;
      return `<polyline points="${at.map((point) => point.join(',')).join(' ')}" fill="none" ${stroke} stroke-width="1.5"/>${dots}<line x1="${width - margin.right + 16}" x2="${width - margin.right + 40}" y1="${legend}" y2="${legend}" ${stroke} stroke-width="3"/>${label(name, `x="${width - margin.right + 46}" y="${legend + 4}"`)}`;
    }),
    ...(drawn.length === 0 ? [label('nothing measured yet', `x="${width / 2}" y="${height / 2}" text-anchor="middle"`)] : []),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function thin(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const group = Math.ceil(points.length / pointLimit);
  if (group <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / group) }, (_, i) => {
    const part = points.slice(i * group, (i + 1) * group);
    return [part.at(-1)![0], part.reduce((sum, [, value]) => sum + value, 0) / part.length] as const;
  });
}

function range(values: readonly number[], fromZero: boolean): readonly [number, number] {
  const low = Math.min(...values, ...(fromZero || values.length === 0 ? [0] : []));
  const high = Math.max(...values, ...(values.length === 0 ? [1] : []));
  return high > low ? [low, high] : [low, low + 1];
}

function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
