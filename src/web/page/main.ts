// Starts the page: its tabs, and where dropped pictures go.
import { attach, emptyLog, setUpChat } from './chat.ts';
import { addToGallery, setUpGallery } from './gallery.ts';
import { setUpLearning } from './learning.ts';
import { watchPictures } from './pictures.ts';
import { setUpSettings } from './settings.ts';

const tabs = [...document.querySelectorAll<HTMLButtonElement>('[role=tab]')];

function select(tab: HTMLButtonElement): void {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute('aria-selected', String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute('aria-controls')!)!.hidden = !chosen;
  }
}

for (const [i, tab] of tabs.entries()) {
  tab.addEventListener('click', () => select(tab));
  tab.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(i + step + tabs.length) % tabs.length]!;
    next.focus();
    // As with the mouse: a view that shows what the server knows looks it up when its tab is chosen.
    next.click();
  });
}

setUpSettings(emptyLog);
setUpChat();
setUpGallery();
setUpLearning();
watchPictures((urls) => {
  if (document.querySelector<HTMLElement>('#view-gallery')!.hidden) attach(urls);
  else void addToGallery(urls);
});
