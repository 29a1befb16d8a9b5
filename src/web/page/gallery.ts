// The gallery tab: search by words, and pictures added by dropping them.
import { call } from './api.ts';
import { readPictures } from './pictures.ts';

const list = document.querySelector<HTMLUListElement>('#found')!;
const note = document.querySelector<HTMLElement>('#gallery-note')!;
const query = document.querySelector<HTMLInputElement>('#query')!;

const map = document.querySelector<SVGSVGElement>('#map')!;
const showMap = document.querySelector<HTMLButtonElement>('#show-map')!;
const more = document.querySelector<HTMLButtonElement>('#more')!;

interface Found {
  readonly id: string;
  readonly alt: string;
  readonly url: string;
  readonly score: number;
  readonly licence: string | null;
}

const pageSize = 24;
/** The question on the screen and how many of its pages. */
let asked = { question: '', page: 1 };

export function setUpGallery(): void {
  document.querySelector('#search')!.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (query.value.trim() !== '') await search(`q=${encodeURIComponent(query.value)}`);
  });
  more.addEventListener('click', () => void search(asked.question, asked.page + 1));
  const files = document.querySelector<HTMLInputElement>('#gallery-files')!;
  document.querySelector('#add-pictures')!.addEventListener('click', () => files.click());
  files.addEventListener('change', async () => {
    const urls = await readPictures(files.files ?? []);
    files.value = '';
    await addToGallery(urls);
  });
  showMap.addEventListener('click', () => void (map.hasAttribute('hidden') ? report(drawMap) : hideMap()));
}

async function search(question: string, page = 1): Promise<void> {
  asked = { question, page };
  await report(async () => {
    const { pictures } = (await (await call(`/api/gallery?${question}&limit=${pageSize}&page=${page}`)).json()) as { pictures: Found[] };
    if (page === 1) list.replaceChildren();
    list.append(...pictures.map(item));
    more.hidden = pictures.length < pageSize;
    return list.children.length === 0 ? 'Nothing found.' : `${list.children.length} pictures, best first.`;
  });
}

/** Every point is a picture; near ones look alike to the model. */
async function drawMap(): Promise<string> {
  const { points, explained } = (await (await call('/api/gallery/map')).json()) as { points: (Found & { x: number; y: number })[]; explained: [number, number] };
  map.replaceChildren(...points.map(dot));
  map.removeAttribute('hidden');
  showMap.setAttribute('aria-pressed', 'true');
  return `${points.length} pictures by likeness (${Math.round(100 * (explained[0] + explained[1]))} % of their differences fit on a page). Choose one to see others like it.`;
}

function hideMap(): void {
  map.setAttribute('hidden', '');
  showMap.setAttribute('aria-pressed', 'false');
}

function dot({ id, alt, x, y }: Found & { readonly x: number; readonly y: number }): SVGElement {
  const svg = (name: string) => document.createElementNS('http://www.w3.org/2000/svg', name);
  const circle = svg('circle');
  circle.setAttribute('cx', String(x * 100));
  circle.setAttribute('cy', String(y * -60));
  circle.setAttribute('r', '1.4');
  circle.setAttribute('tabindex', '0');
  circle.setAttribute('role', 'button');
  circle.setAttribute('aria-label', alt);
  const title = svg('title');
  title.textContent = alt;
  circle.append(title);
  circle.addEventListener('click', () => void search(`like=${id}`));
  circle.addEventListener('keydown', (event) => {
    if (['Enter', ' '].includes((event as KeyboardEvent).key)) void search(`like=${id}`);
  });
  return circle;
}

/** Adds dropped pictures, one by one, each with a caption that the person may give. */
export async function addToGallery(urls: readonly string[]): Promise<void> {
  for (const [i, image] of urls.entries()) {
    const caption = prompt(urls.length > 1 ? `What does picture ${i + 1} of ${urls.length} show?` : 'What does the picture show?') ?? '';
    await report(async () => {
      const added = (await (await call('/api/gallery', { method: 'POST', body: JSON.stringify({ image, caption }) })).json()) as { id: string; alt: string };
      list.prepend(item({ ...added, url: image, score: Number.NaN, licence: null }));
      return `Added “${added.alt}”. Ask for it in the chat.`;
    });
  }
}

async function report(work: () => Promise<string>): Promise<void> {
  note.textContent = 'One moment…';
  try {
    note.textContent = await work();
  } catch (error) {
    note.textContent = `Sorry: ${(error as Error).message}`;
  }
}

function item({ id, url, alt, score, licence }: Found): HTMLLIElement {
  const element = document.createElement('li');
  const image = document.createElement('img');
  image.src = url;
  image.alt = alt;
  image.loading = 'lazy';
  const caption = document.createElement('span');
  caption.textContent = [alt, Number.isNaN(score) ? 'new' : score.toFixed(3), licence].filter(Boolean).join(' · ');
  const similar = document.createElement('button');
  similar.className = 'quiet';
  similar.textContent = 'Similar';
  similar.setAttribute('aria-label', `Pictures like ${alt}`);
  similar.addEventListener('click', () => void search(`like=${id}`));
  element.append(image, caption, similar);
  return element;
}
