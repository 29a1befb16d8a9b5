// The learning tab: votes over time, runs with their curves, versions, and two of them side by side.
import { call } from './api.ts';
import { curves, votesByDay } from './plot.ts';

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
  readonly answers: readonly { readonly adapter: string; readonly text: string; readonly picture: { readonly url: string; readonly alt: string } | null }[];
}

const place = <T extends HTMLElement>(id: string): T => document.querySelector<T>(`#${id}`)!;
const lookMs = 1500;
let timer: ReturnType<typeof setTimeout> | undefined;
const drawn = new Map<string, string>();
/** Run whose curve was asked for; else that of the newest is shown. */
let curveOf: string | null = null;

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
    const underWay = facts.runs.some(({ endedAt }) => endedAt === null);
    if (!underWay && !place('learn-cancel').hidden) place('learn-note').textContent = 'The run is over.';
    place('learn-cancel').hidden = !underWay;
    drawIfNew('votes', facts.votes, drawVotes);
    drawIfNew('runs', facts.runs, drawRuns);
    drawIfNew('versions', facts.versions, drawVersions);
    if (!place('view-learning').hidden && underWay) timer = setTimeout(() => void refresh(), lookMs);
  } catch (error) {
    place('learn-note').textContent = `Sorry: ${(error as Error).message}`;
  }
}

/** What has not changed stays as it is, with whatever is unfolded and focused in it. */
function drawIfNew<T>(name: string, facts: T, draw: (facts: T) => void): void {
  const state = JSON.stringify(facts);
  if (drawn.get(name) === state) return;
  drawn.set(name, state);
  draw(facts);
}

function drawVotes(votes: Facts['votes']): void {
  place('learn-votes').replaceChildren(votesByDay(votes));
}

function drawRuns(runs: Facts['runs']): void {
  place('learn-runs').replaceChildren(...(runs.length === 0 ? [element('li', 'There was no training yet.')] : runs.map(runItem)));
  const shown = runs.find(({ runId }) => runId !== null && runId === curveOf) ?? runs.find(({ runId }) => runId !== null);
  if (shown) void drawCurve(shown);
}

async function drawCurve({ runId, startedAt }: Run): Promise<void> {
  if (runId === null) return;
  const { points } = (await (await call(`/api/learning/runs/${runId}/curve`)).json()) as { points: Parameters<typeof curves>[1] };
  place('learn-curve').replaceChildren(curves(`Run of ${new Date(startedAt).toLocaleString()}`, points));
}

function runItem(run: Run): HTMLElement {
  const { runId, state, startedAt, progress, examples, summary } = run;
  const item = document.createElement('li');
  const started = new Date(startedAt).toLocaleString();
  const row = element('p', '');
  row.className = 'row';
  row.append(element('strong', [started, progress < 1 ? `${state} ${Math.round(progress * 100)} %` : state, examples === 1 ? '1 example' : `${examples} examples`].join(' · ')));
  if (runId !== null) {
    row.append(button('Curve', `Curve of the run of ${started}`, () => {
      curveOf = runId;
      void act(async () => {
        await drawCurve(run);
        place('learn-curve').scrollIntoView({ block: 'nearest' });
        return `The curve of the run of ${started} is shown.`;
      });
    }));
  }
  item.append(row, element('p', summary));
  return item;
}

function drawVersions(versions: Facts['versions']): void {
  const open = new Set([...document.querySelectorAll<HTMLElement>('#learn-versions details[open]')].map(({ dataset }) => dataset['version']));
  place('learn-versions').replaceChildren(...versions.map((version) => versionItem(version, open.has(version.id))));
  const serving = versions.find((version) => version.serving);
  const candidate = versions.find((version) => !version.serving);
  fill('learn-first', versions, serving);
  fill('learn-second', versions, candidate ?? serving);
}

function fill(id: string, versions: readonly Version[], otherwise: Version | undefined): void {
  const select = place<HTMLSelectElement>(id);
  const before = select.value;
  select.replaceChildren(...versions.map((version) => {
    const option = element('option', `${version.id}${version.serving ? ' (serving)' : ''}`) as HTMLOptionElement;
    option.value = version.id;
    return option;
  }));
  select.value = versions.some((version) => version.id === before) ? before : (otherwise?.id ?? '');
}

function versionItem({ id, serving, parent, details }: Version, open: boolean): HTMLElement {
  const item = document.createElement('li');
  const more = document.createElement('details');
  more.dataset['version'] = id;
  more.open = open;
  more.append(element('summary', `${id}${serving ? ' (serving)' : ''}${parent === null ? '' : `, from ${parent}`}`), ...details.map((line) => element('p', line)));
  item.append(more);
  if (!serving) {
    item.append(button('Promote', `Promote ${id}`, () => void act(async () => {
      await post('promote', { id, reason: changeReason() });
      return `${id} serves from now on.`;
    })));
  }
  return item;
}

async function compare(): Promise<string> {
  const ids = ['learn-first', 'learn-second'].map((id) => place<HTMLSelectElement>(id).value);
  const questions = place<HTMLTextAreaElement>('learn-questions').value.split('\n').map((line) => line.trim()).filter(Boolean);
  if (ids.includes('') || questions.length === 0) return 'Choose two versions and write at least one question.';
  const { examples } = (await (await post('compare', { ids, questions })).json()) as { examples: Example[] };
  const rows = examples.map(({ question, answers }) => {
    const row = document.createElement('tr');
    row.append(element('th', question), ...answers.map(answerCell));
    return row;
  });
  const head = document.createElement('tr');
  head.append(element('th', 'Question'), ...ids.map((id) => element('th', id)));
  place('learn-answers').replaceChildren(head, ...rows);
  return 'Compared.';
}

function answerCell({ text, picture }: Example['answers'][number]): HTMLElement {
  const cell = element('td', text);
  if (picture) {
    const image = document.createElement('img');
    image.src = picture.url;
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

/** @param label what a screen reader says: which of several */
function button(text: string, label: string, onClick: () => void): HTMLButtonElement {
  const made = element('button', text) as HTMLButtonElement;
  made.type = 'button';
  made.setAttribute('aria-label', label);
  made.addEventListener('click', onClick);
  return made;
}
