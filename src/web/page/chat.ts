// The conversation on the page: bubbles, streaming answers, votes, stop and clear.
import { call, events, type PagePicture, type PageTurn } from './api.ts';
import { icon, type IconName } from './icons.ts';
import { readPictures } from './pictures.ts';
import { readSettings } from './settings.ts';

const find = <T extends HTMLElement>(selector: string): T => document.querySelector<T>(selector)!;

const log = find('#log');
const welcome = find('#welcome');
const text = find<HTMLTextAreaElement>('#text');
const attached = find('#attached');
const sendButton = find<HTMLButtonElement>('#send');
const stopButton = find<HTMLButtonElement>('#stop');
const status = find('#status');

let pictures: string[] = [];
let running: AbortController | null = null;

export function setUpChat(): void {
  find<HTMLFormElement>('#composer').addEventListener('submit', (event) => {
    event.preventDefault();
    void ask(false);
  });
  find('#show-me').addEventListener('click', () => void ask(true));
  stopButton.addEventListener('click', () => running?.abort());
  find('#clear').addEventListener('click', () => void clear());
  find('#attach').addEventListener('click', () => find('#files').click());
  find<HTMLInputElement>('#files').addEventListener('change', async (event) => {
    const input = event.target as HTMLInputElement;
    attach(await readPictures(input.files ?? []));
    input.value = '';
  });
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void ask(false);
    }
  });
  text.addEventListener('input', grow);
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && running) running.abort();
  });
  for (const hint of document.querySelectorAll<HTMLButtonElement>('.hint')) {
    hint.addEventListener('click', () => {
      text.value = hint.textContent;
      void ask(false);
    });
  }
  void restore();
}

export function attach(urls: readonly string[]): void {
  pictures = [...pictures, ...urls].slice(0, 8);
  attached.replaceChildren(
    ...pictures.map((url, i) => {
      const holder = document.createElement('span');
      const image = document.createElement('img');
      image.src = url;
      image.alt = `picture ${i + 1} to send`;
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Remove picture ${i + 1}`);
      remove.addEventListener('click', () => {
        pictures.splice(i, 1);
        attach([]);
      });
      holder.append(image, remove);
      return holder;
    }),
  );
  text.focus();
}

/** Empties the view; what is stored stays. */
export function emptyLog(): void {
  log.replaceChildren(welcome);
  status.textContent = '';
}

async function restore(): Promise<void> {
  try {
    const { turns } = (await (await call('/api/conversation')).json()) as { turns: PageTurn[] };
    for (const turn of turns) {
      const { article, paragraph } = bubble(turn.role);
      paragraph.remove();
      for (const part of turn.parts) article.append(part.type === 'text' ? textBlock(part.text) : figure(part));
      if (turn.answerId) addTools(article, turn.answerId, turn.vote);
    }
    log.scrollTop = log.scrollHeight;
  } catch (error) {
    status.textContent = String((error as Error).message);
  }
}

async function ask(showMe: boolean): Promise<void> {
  const words = text.value.trim();
  if (running || (words === '' && pictures.length === 0)) return;
  const images = pictures;
  pictures = [];
  text.value = '';
  grow();
  attach([]);
  const mine = bubble('user');
  mine.paragraph.remove();
  for (const url of images) mine.article.append(figure({ url, alt: 'a picture you sent', credit: '' }));
  if (words !== '') mine.article.append(textBlock(words));
  const { article, paragraph } = bubble('assistant');
  article.setAttribute('aria-busy', 'true');
  let current = paragraph;
  current.classList.add('waiting');
  running = new AbortController();
  busy(true);
  let answered = false;
  try {
    const response = await call('/api/messages', { method: 'POST', body: JSON.stringify({ text: words, images, showMe, settings: readSettings() }), signal: running.signal });
    for await (const event of events(response)) {
      if (event.type === 'queued') status.textContent = `busy, you are number ${event.position} in the queue`;
      else if (event.type === 'started') status.textContent = 'answering…';
      else if (event.type === 'text') {
        if (!current.isConnected) article.append(current);
        current.textContent += event.text;
      } else if (event.type === 'pictures' || event.type === 'no_picture') {
        current.classList.remove('waiting');
        if (current.textContent === '') current.remove();
        if (event.type === 'pictures') for (const picture of event.pictures) article.append(figure(picture));
        else article.append(textBlock('I have no picture of that.'));
        current = document.createElement('p');
      } else if (event.type === 'end') {
        answered = true;
        status.textContent = `${event.usage.newTokens} ${event.usage.newTokens === 1 ? 'token' : 'tokens'} in ${(event.usage.totalMs / 1000).toFixed(1)} s`;
        addTools(article, event.answerId, null);
      } else if (event.type === 'error') throw new Error(event.message);
      log.scrollTop = log.scrollHeight;
    }
    if (!answered) throw new Error('the answer broke off');
  } catch (error) {
    const stopped = running?.signal.aborted;
    status.textContent = stopped ? 'stopped' : '';
    const note = textBlock(stopped ? '(stopped)' : `Sorry: ${(error as Error).message}`);
    note.classList.add(stopped ? 'small' : 'failed');
    article.append(note);
  } finally {
    current.classList.remove('waiting');
    if (current.textContent === '') current.remove();
    article.removeAttribute('aria-busy');
    running = null;
    busy(false);
    log.scrollTop = log.scrollHeight;
    text.focus();
  }
}

async function clear(): Promise<void> {
  running?.abort();
  await call('/api/conversation', { method: 'DELETE' });
  emptyLog();
}

function busy(on: boolean): void {
  sendButton.hidden = on;
  stopButton.hidden = !on;
}

function bubble(role: 'user' | 'assistant'): { article: HTMLElement; paragraph: HTMLParagraphElement } {
  welcome.remove();
  const article = document.createElement('article');
  article.className = role;
  article.setAttribute('aria-label', role === 'user' ? 'You' : 'Fromage');
  const paragraph = document.createElement('p');
  article.append(paragraph);
  log.append(article);
  log.scrollTop = log.scrollHeight;
  return { article, paragraph };
}

function textBlock(content: string): HTMLParagraphElement {
  const paragraph = document.createElement('p');
  paragraph.textContent = content;
  return paragraph;
}

function figure({ id, wrong, url, alt, credit }: PagePicture): HTMLElement {
  const holder = document.createElement('figure');
  if (id !== undefined) holder.dataset['picture'] = id;
  if (wrong) holder.dataset['wrong'] = 'yes';
  const image = document.createElement('img');
  image.src = url;
  image.alt = alt;
  image.addEventListener('load', () => (log.scrollTop = log.scrollHeight));
  holder.append(image);
  if (credit) {
    const caption = document.createElement('figcaption');
    caption.textContent = `${alt} — ${credit}`;
    holder.append(caption);
  }
  return holder;
}

/** 👍 and 👎 for the answer, and 🚫 under each picture it shows. */
function addTools(article: HTMLElement, answerId: string, vote: 'up' | 'down' | null): void {
  const row = document.createElement('div');
  row.className = 'tools';
  const wrongs = [...article.querySelectorAll<HTMLElement>('figure[data-picture]')].map((shown) => {
    const button = toolButton('wrong', 'Not this picture', shown.dataset['wrong'] === 'yes', async () => {
      await call('/api/wrong', { method: 'POST', body: JSON.stringify({ answerId, pictureId: shown.dataset['picture'] }) });
      press(button, true);
    });
    button.className = 'wrong';
    shown.append(button);
    return button;
  });
  const votes = (['up', 'down'] as const).map((value) => {
    const button = toolButton(value, value === 'up' ? 'Good answer' : 'Bad answer', vote === value, async () => {
      const chosen = button.getAttribute('aria-pressed') === 'true' ? null : value;
      await call('/api/votes', { method: 'POST', body: JSON.stringify({ answerId, value: chosen }) });
      for (const other of votes) press(other, other === button && chosen !== null);
      // A good answer shows no wrong picture; taking a vote back takes back all that was said of the answer.
      if (chosen !== 'down') for (const other of wrongs) press(other, false);
    });
    return button;
  });
  row.append(...votes);
  article.append(row);
}

function toolButton(sign: IconName, label: string, pressed: boolean, onClick: () => Promise<void>): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(icon(sign));
  button.title = label;
  button.setAttribute('aria-label', label);
  press(button, pressed);
  button.addEventListener('click', () => void onClick().catch((error: unknown) => (status.textContent = `Sorry: ${(error as Error).message}`)));
  return button;
}

function press(button: HTMLButtonElement, pressed: boolean): void {
  button.setAttribute('aria-pressed', String(pressed));
}

function grow(): void {
  text.style.height = 'auto';
  text.style.height = `${text.scrollHeight}px`;
}
