// The settings dialog: kept in this browser, sent along with each question.
import { call } from './api.ts';

const defaults = { temperature: 0, retScaleFactor: 1, picturesPerAnswer: 1, maxNewTokens: 96 };
export type Settings = typeof defaults;
const names = Object.keys(defaults) as (keyof Settings)[];

export function readSettings(): Settings {
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem('fromage-settings') ?? '{}') as Partial<Settings>) };
  } catch {
    return { ...defaults };
  }
}

export function setUpSettings(onForget: () => void): void {
  const dialog = document.querySelector<HTMLDialogElement>('#settings')!;
  document.querySelector('#open-settings')!.addEventListener('click', () => dialog.showModal());
  const settings = readSettings();
  for (const name of names) {
    const input = document.querySelector<HTMLInputElement>(`#${name}`)!;
    const output = document.querySelector<HTMLOutputElement>(`#${name}-value`)!;
    const show = () => (output.value = input.value);
    input.value = String(settings[name]);
    show();
    input.addEventListener('input', () => {
      show();
      settings[name] = Number(input.value);
      localStorage.setItem('fromage-settings', JSON.stringify(settings));
    });
  }
  const theme = document.querySelector<HTMLSelectElement>('#theme')!;
  theme.value = localStorage.getItem('fromage-theme') ?? '';
  const paint = () => {
    if (theme.value) document.documentElement.dataset['theme'] = theme.value;
    else delete document.documentElement.dataset['theme'];
  };
  paint();
  theme.addEventListener('change', () => {
    localStorage.setItem('fromage-theme', theme.value);
    paint();
  });
  document.querySelector('#export')!.addEventListener('click', async () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await (await call('/api/mydata')).blob());
    link.download = 'my-fromage-data.zip';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  document.querySelector('#forget')!.addEventListener('click', async () => {
    if (!confirm('Delete all of your conversations, pictures and votes from this machine? This cannot be undone.')) return;
    await call('/api/forget', { method: 'POST', body: '{}' });
    dialog.close();
    onForget();
  });
}
