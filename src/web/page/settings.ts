// The settings dialog: kept in this browser, sent along with each question.
import { call } from './api.ts';

const defaults = { temperature: 0, retScaleFactor: 1, picturesPerAnswer: 1, maxNewTokens: 96 };
export type Settings = typeof defaults;
const names = Object.keys(defaults) as (keyof Settings)[];

const purposes = ['votes', 'text', 'pictures'] as const;
const box = (purpose: (typeof purposes)[number]) => document.querySelector<HTMLInputElement>(`#consent-${purpose}`)!;

/** The boxes show what is recorded, after a change as before; without an answer from the server nothing is ticked. */
async function showConsent(change?: { readonly purpose: string; readonly given: boolean }): Promise<void> {
  const none: Partial<Record<string, boolean>> = {};
  const recorded = await call('/api/consent', change ? { method: 'POST', body: JSON.stringify(change) } : {}).then((response) => response.json() as Promise<typeof none>).catch(() => none);
  for (const purpose of purposes) box(purpose).checked = recorded[purpose] === true;
}

export function readSettings(): Settings {
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem('fromage-settings') ?? '{}') as Partial<Settings>) };
  } catch {
    return { ...defaults };
  }
}

export function setUpSettings(onForget: () => void): void {
  const dialog = document.querySelector<HTMLDialogElement>('#settings')!;
  document.querySelector('#open-settings')!.addEventListener('click', () => {
    dialog.showModal();
    void showConsent();
  });
  for (const purpose of purposes) box(purpose).addEventListener('change', () => void showConsent({ purpose, given: box(purpose).checked }));
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
