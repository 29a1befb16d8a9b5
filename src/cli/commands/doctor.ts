// `fromage doctor`: looks at everything that Fromage stands on and says what to mend.
import { type Config } from '../../config/index.ts';
import type { Device } from '../../onnx/run/index.ts';
import { configuration } from '../configuration.ts';
import { type Check, checked } from '../doctor/check.ts';
import { checkDevice, checkNode, checkPackages, checkPictures } from '../doctor/machine-checks.ts';
import { measureModel } from '../doctor/measures.ts';
import { checkMemory, checkModelFiles } from '../doctor/model-checks.ts';
import { checkBrowser, checkDataFolder, checkDatabase, checkPlatform, checkPort, checkQdrant, listConfiguration } from '../doctor/service-checks.ts';
import { createProgress } from '../progress.ts';

interface DoctorOptions extends Record<string, unknown> {
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly captions?: string;
  readonly images?: string;
}

/** Sets exit code 1 when something is to be mended. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const checks: Check[] = [];
  const note = (check: Check) => {
    checks.push(check);
    if (!options.json) process.stdout.write(line(check));
  };
  note(await checkNode());
  note(await checkPackages());
  let config: Config | null = null;
  note(
    await checked('configuration', () => {
      config = configuration(options);
      const set = listConfiguration(config);
      return { state: 'ok', found: Object.keys(set).length === 0 ? 'all at their defaults' : Object.entries(set).map(([name, value]) => `${name}=${value}`).join(' '), figures: set };
    }),
  );
  for (const device of devices(config)) note(await checkDevice(device));
  note(await checkPictures());
  if (config !== null) await checkConfigured(config, options, note);
  const failed = checks.filter(({ state }) => state === 'fail').length;
  if (options.json) process.stdout.write(`${JSON.stringify({ ok: failed === 0, checks })}\n`);
  else process.stdout.write(failed === 0 ? '\nAll is well.\n' : `\n${failed} to mend.\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function checkConfigured(config: Config, options: DoctorOptions, note: (check: Check) => void): Promise<void> {
  note(await checkDataFolder(config));
  note(await checkDatabase(config));
  note(await checkPort(config));
  note(await checkQdrant(config));
  note(await checkPlatform('discord', config.DISCORD_TOKEN, 'DISCORD_TOKEN'));
  note(await checkPlatform('telegram', config.TELEGRAM_TOKEN, 'TELEGRAM_TOKEN'));
  note(await checkPlatform('hugging face', config.HF_TOKEN, 'HF_TOKEN').then((check) => (check.state === 'ok' ? { ...check, found: 'HF_TOKEN is set' } : { ...check, found: 'HF_TOKEN is not set: only open models can be fetched' })));
  note(await checkBrowser());
  const files = await checkModelFiles(config);
  note(files);
  if (files.state !== 'ok') return;
  const memory = await checkMemory(config);
  note(memory);
  if (options.quick) note({ name: 'model', state: 'skipped', found: 'not loaded (--quick)' });
  else if (memory.state !== 'fail') {
    const measured = await measureModel(config, {
      progress: (title, unit) => createProgress(title, unit, options.json),
      ...(options.captions === undefined ? {} : { captions: options.captions }),
      ...(options.images === undefined ? {} : { images: options.images }),
    });
    measured.forEach(note);
  }
}

/** The CPU always works beside another device. */
function devices(config: Config | null): readonly Device[] {
  const device = config?.FROMAGE_DEVICE ?? 'auto';
  return device === 'auto' || device === 'cpu' ? ['cpu'] : ['cpu', device];
}

function line({ name, state, found, todo }: Check): string {
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  const code = { ok: 32, warn: 33, fail: 31, skipped: 90 }[state];
  const mark = state.padEnd(7);
  return `${colour ? `\x1b[${code}m${mark}\x1b[0m` : mark} ${name}: ${found}\n${todo === undefined ? '' : `        what to do: ${todo}\n`}`;
}
