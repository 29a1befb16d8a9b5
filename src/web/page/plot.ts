// Two kinds of drawing for the learning tab, each with its scale in words: lines over steps, bars over days.

const svgNames = 'http://www.w3.org/2000/svg';
const [width, height] = [300, 100];
const dayMs = 86_400_000;
/** Losses that a run records, by the names people know. */
const names: Readonly<Record<string, string>> = { captioning: 'captioning loss', retrieval: 'retrieval loss', infoNce: 'InfoNCE' };

type Point = readonly [number, number];

/** @param title whose curves these are */
export function curves(title: string, points: readonly { readonly step: number; readonly values: Readonly<Record<string, number>> }[]): HTMLElement {
  const lines = [...new Set(points.flatMap(({ values }) => Object.keys(values)))].map((name) => ({
    name: names[name] ?? name,
    points: points.flatMap(({ step, values }): Point[] => (values[name] === undefined ? [] : [[step, values[name]]])),
  }));
  const all = lines.flatMap((line) => line.points);
  if (all.length === 0) return note(`${title}: no step is recorded yet.`);
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(0, ...ys), Math.max(...ys)];
  const across = (x: number): number => ((x - left) / (right - left || 1)) * width;
  const down = (y: number): number => height - ((y - low) / (high - low || 1)) * height;
  const drawn = lines.map(({ points: line }, i) => shape('polyline', { class: `line${i % 4}`, points: line.map(([x, y]) => `${across(x).toFixed(1)},${down(y).toFixed(1)}`).join(' ') }));
  const ends = lines.map(({ name, points: line }) => `${name} ${shortly(line[0]![1])} → ${shortly(line.at(-1)![1])}`);
  return figure({ title, drawn, top: shortly(high), bottom: shortly(low), first: `step ${left}`, last: `step ${right}`, legend: ends });
}

/** Good answers upwards, bad ones downwards; a day without votes is a gap. */
export function votesByDay(votes: readonly { readonly day: string; readonly up: number; readonly down: number }[]): HTMLElement {
  const [first, last] = [votes[0], votes.at(-1)];
  if (!first || !last) return note('Nobody has voted in the last three months.');
  const at = (day: string): number => Math.round((Date.parse(day) - Date.parse(first.day)) / dayMs);
  const days = Math.max(at(last.day) + 1, 7);
  const most = Math.max(...votes.map(({ up, down }) => Math.max(up, down)));
  const middle = height / 2;
  const bar = (day: string, count: number, up: boolean): SVGElement => {
    const tall = (count / most) * middle;
    return shape('rect', { class: up ? 'bar0' : 'bar1', x: String((at(day) / days) * width), width: String((0.8 * width) / days), y: String(up ? middle - tall : middle), height: String(tall) });
  };
  const drawn = [...votes.flatMap(({ day, up, down }) => [bar(day, up, true), bar(day, down, false)]), shape('polyline', { class: 'axis', points: `0,${middle} ${width},${middle}` })];
  const sum = (of: 'up' | 'down'): number => votes.reduce((total, day) => total + day[of], 0);
  const end = at(last.day) + 1 < days ? '' : last.day;
  return figure({ title: `Votes a day, at most ${most}`, drawn, top: `${most} good`, bottom: `${most} bad`, first: first.day, last: end, legend: [`${sum('up')} good, upwards`, `${sum('down')} bad, downwards`] });
}

interface Drawing {
  readonly title: string;
  readonly drawn: readonly SVGElement[];
  /** What the upper, lower, left and right edge stand for. */
  readonly top: string;
  readonly bottom: string;
  readonly first: string;
  readonly last: string;
  /** One for each colour. */
  readonly legend: readonly string[];
}

function figure({ title, drawn, top, bottom, first, last, legend }: Drawing): HTMLElement {
  const made = document.createElement('figure');
  const svg = shape('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${legend.join('; ')}` });
  svg.append(...drawn);
  const caption = document.createElement('figcaption');
  caption.append(text('strong', title), ...legend.map((words, i) => text('span', words, `line${i % 4}`)));
  const scale = (name: string, upper: string, lower: string): HTMLElement => {
    const edge = document.createElement('div');
    edge.className = name;
    edge.append(text('span', upper), text('span', lower));
    return edge;
  };
  made.append(caption, scale('scale-y', top, bottom), svg, scale('scale-x', first, last));
  return made;
}

function note(words: string): HTMLElement {
  return text('p', words, 'small');
}

function text(name: string, words: string, className = ''): HTMLElement {
  const made = document.createElement(name);
  made.textContent = words;
  made.className = className;
  return made;
}

function shape(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS(svgNames, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Three digits that say something, whatever the size. */
function shortly(value: number): string {
  return value === 0 ? '0' : String(Number(value.toPrecision(3)));
}
