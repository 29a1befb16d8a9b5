// The learning tab: votes over time, runs with their curves, versions, and two of them side by side.
import { call } from './api.ts';

interface Run {
  readonly id: string;
  readonly runId: string | null;
  readonly state: string;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly progress: number;
  readonly examples: number;
  readonly summary: string;
}

interface Version {
  readonly id: string;
  readonly serving: boolean;
  readonly parent: string | null;
  readonly details: readonly string[];
}

interface Facts {
  readonly votes: readonly { readonly day: string; readonly up: number; readonly down: number }[];
  readonly runs: readonly Run[];
  readonly versions: readonly Version[];
  readonly serving: string | null;
}

interface Example {
  readonly question: string;
  readonly answers: readonly { readonly adapter: string; readonly text: string; readonly picture: { readonly id: string; readonly alt: string } | null }[];
}

const place = <T extends HTMLElement>(id: string): T => document.querySelector<T>(`#${id}`)!;
const lookMs = 1500;
let timer: ReturnType<typeof setTimeout> | undefined;
let drawn = '';

export function setUpLearning(): void {
  place('tab-learning').addEventListener('click', () => void refresh());
  place('learn-start').addEventListener('click', () => act(async () => {
    const answer = (await (await post('start', { reason: place<HTMLInputElement>('learn-reason').value })).json()) as { started: boolean; why?: string };
    return answer.started ? 'Training has started.' : `Training was not started: ${answer.why}`;
  }));
  place('learn-cancel').addEventListener('click', () => act(async () => (((await (await post('cancel', {})).json()) as { cancelled: boolean }).cancelled ? 'The run is being stopped.' : 'No run is under way.')));
  place('learn-rollback').addEventListener('click', () => act(async () => {
    const { version } = (await (await post('rollback', { reason: changeReason() })).json()) as { version: Version | null };
    return version ? `${version.id} serves again.` : 'There is no earlier version to go back to.';
  }));
  place('learn-compare').addEventListener('submit', (event) => {
    event.preventDefault();
    void act(compare);
  });
}

/** Why a version is promoted or rolled back: it stands in its lineage. */
function changeReason(): string {
  const input = place<HTMLInputElement>('learn-why');
  const reason = input.value;
  input.value = '';
  return reason;
}

function post(what: string, body: object): Promise<Response> {
  return call(`/api/learning/${what}`, { method: 'POST', body: JSON.stringify(body) });
}

async function act(work: () => Promise<string>): Promise<void> {
  const note = place('learn-note');
  note.textContent = 'One moment…';
  try {
    note.textContent = await work();
  } catch (error) {
    note.textContent = `Sorry: ${(error as Error).message}`;
  }
  await refresh();
}

/** Draws anew while the tab is open; quickly while a run is under way. */
async function refresh(): Promise<void> {
  clearTimeout(timer);
  try {
    const facts = (await (await call('/api/learning')).json()) as Facts;
    const state = JSON.stringify(facts);
    if (state !== drawn) await draw(facts);
    drawn = state;
    if (!place('view-learning').hidden && facts.runs.some(({ endedAt }) => endedAt === null)) timer = setTimeout(() => void refresh(), lookMs);
  } catch (error) {
    place('learn-note').textContent = `Sorry: ${(error as Error).message}`;
  }
}

async function draw({ votes, runs, versions, serving }: Facts): Promise<void> {
  const up = votes.reduce((sum, day) => sum + day.up, 0);
  const down = votes.reduce((sum, day) => sum + day.down, 0);
  place('learn-votes').replaceChildren(
    element('p', `${up} 👍 and ${down} 👎 in ${votes.length} days.`),
    plot([{ name: '👍', points: votes.map((day, i) => [i, day.up]) }, { name: '👎', points: votes.map((day, i) => [i, day.down]) }]),
  );
  place('learn-runs').replaceChildren(...(runs.length === 0 ? [element('li', 'There was no training yet.')] : runs.map(runItem)));
  const newest = runs.find(({ runId }) => runId !== null);
  if (newest?.runId) await drawCurve(newest.runId);
  place('learn-versions').replaceChildren(...versions.map((version) => versionItem(version)));
  const candidate = versions.find((version) => !version.serving);
  place<HTMLInputElement>('learn-ids').value = [serving, candidate?.id].filter(Boolean).join(' ');
}

async function drawCurve(runId: string): Promise<void> {
  const { points } = (await (await call(`/api/learning/runs/${runId}/curve`)).json()) as { points: { step: number; values: Record<string, number> }[] };
  const names = [...new Set(points.flatMap(({ values }) => Object.keys(values)))];
  place('learn-curve').replaceChildren(plot(names.map((name) => ({ name, points: points.flatMap(({ step, values }) => (values[name] === undefined ? [] : [[step, values[name]] as [number, number]])) }))));
}

function runItem({ runId, state, startedAt, progress, examples, summary }: Run): HTMLElement {
  const item = element('li', `${new Date(startedAt).toLocaleString()} · ${state} ${Math.round(progress * 100)} % · ${examples} examples · ${summary} `);
  if (runId !== null) item.append(button('Curve', () => void drawCurve(runId)));
  return item;
}

function versionItem({ id, serving, parent, details }: Version): HTMLElement {
  const item = document.createElement('li');
  const more = document.createElement('details');
  more.append(element('summary', `${id}${serving ? ' (serving)' : ''}${parent === null ? '' : `, from ${parent}`}`), ...details.map((line) => element('p', line)));
  item.append(more);
  if (!serving) {
    item.append(button('Promote', () => void act(async () => {
      await post('promote', { id, reason: changeReason() });
      return `${id} serves from now on.`;
    })));
  }
  return item;
}

async function compare(): Promise<string> {
  const ids = place<HTMLInputElement>('learn-ids').value.split(/\s+/).filter(Boolean).slice(0, 2);
  const questions = place<HTMLTextAreaElement>('learn-questions').value.split('\n').map((line) => line.trim()).filter(Boolean);
  if (ids.length === 0 || questions.length === 0) return 'Name two versions and at least one question.';
  const { examples } = (await (await post('compare', { ids, questions })).json()) as { examples: Example[] };
  const rows = examples.map(({ question, answers }) => {
    const row = document.createElement('tr');
    row.append(element('th', question), ...answers.map(answerCell));
    return row;
  });
  const head = document.createElement('tr');
  head.append(element('th', ''), ...ids.map((id) => element('th', id)));
  place('learn-answers').replaceChildren(head, ...rows);
  return 'Compared.';
}

function answerCell({ text, picture }: Example['answers'][number]): HTMLElement {
  const cell = element('td', text);
  if (picture) {
    const image = document.createElement('img');
    image.src = `/v1/pictures/${encodeURIComponent(picture.id)}`;
    image.alt = picture.alt;
    cell.append(image, element('span', picture.alt));
  }
  return cell;
}

function element(name: string, text: string): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function button(text: string, onClick: () => void): HTMLButtonElement {
  const made = element('button', text) as HTMLButtonElement;
  made.type = 'button';
  made.className = 'quiet';
  made.addEventListener('click', onClick);
  return made;
}

/** Lines over a common frame, each with its name and last value. */
function plot(lines: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[]): HTMLElement {
  const figure = document.createElement('figure');
  const all = lines.flatMap(({ points }) => points);
  if (all.length === 0) return figure;
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(0, ...ys), Math.max(...ys)];
  const at = ([x, y]: readonly [number, number]) => `${(((x - left) / (right - left || 1)) * 300).toFixed(1)},${(90 - ((y - low) / (high - low || 1)) * 85).toFixed(1)}`;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 300 95');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', lines.map(({ name, points }) => `${name}: from ${points[0]?.[1].toFixed(2)} to ${points.at(-1)?.[1].toFixed(2)}`).join('; '));
  lines.forEach(({ points }, i) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
    line.setAttribute('class', `line${i % 4}`);
    line.setAttribute('points', points.map(at).join(' '));
    svg.append(line);
  });
  const caption = document.createElement('figcaption');
  lines.forEach(({ name, points }, i) => {
    const label = element('span', `${name} ${points.at(-1)?.[1].toFixed(2) ?? ''} `);
    label.className = `line${i % 4}`;
    caption.append(label);
  });
  figure.append(svg, caption);
  return figure;
}
