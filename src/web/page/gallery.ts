// The gallery tab: search by words, and pictures added by dropping them.
import { call } from './api.ts';

const list = document.querySelector<HTMLUListElement>('#found')!;
const note = document.querySelector<HTMLElement>('#gallery-note')!;
const query = document.querySelector<HTMLInputElement>('#query')!;

interface Found {
  readonly id: string;
  readonly alt: string;
  readonly url: string;
  readonly score: number;
  readonly licence: string | null;
}

export function setUpGallery(): void {
  document.querySelector('#search')!.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (query.value.trim() === '') return;
    await report(async () => {
      const response = await call(`/api/gallery?q=${encodeURIComponent(query.value)}`);
      const { pictures } = (await response.json()) as { pictures: Found[] };
      list.replaceChildren(...pictures.map(item));
      return pictures.length === 0 ? 'Nothing found.' : `${pictures.length} pictures, best first.`;
    });
  });
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

function item({ url, alt, score, licence }: Found): HTMLLIElement {
  const element = document.createElement('li');
  const image = document.createElement('img');
  image.src = url;
  image.alt = alt;
  image.loading = 'lazy';
  const caption = document.createElement('span');
  caption.textContent = [alt, Number.isNaN(score) ? 'new' : score.toFixed(3), licence].filter(Boolean).join(' · ');
  element.append(image, caption);
  return element;
}
