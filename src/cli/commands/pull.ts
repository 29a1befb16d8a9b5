// `fromage models pull`: a preset or a model of the hub onto this machine, after telling what that takes.
import { cacheFolder, hubSettings, neededParts } from '../../app/index.ts';
import { FromageError } from '../../errors.ts';
import { downloadRepository, findCached } from '../../hub/index.ts';
import { findPreset, openLanguageModelWeights, readAdapterFolder, singleGguf } from '../../model/index.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { checkPlan, planPull, type PullPlan } from '../models/pull-plan.ts';
import { bytesText, tableText } from '../models/units.ts';
import { createProgress } from '../progress.ts';

interface PullOptions extends Record<string, unknown> {
  readonly acceptLicenses?: boolean;
  readonly quant?: 'q8' | 'q4';
  readonly json?: boolean;
}

/** @throws FromageError `MODEL_LICENCE`, `MODEL_MEMORY`, `MODEL_ADAPTER_KIND`, `HUB_…` */
export async function pullModel(name: string, options: PullOptions): Promise<void> {
  const config = configuration(options);
  const settings = hubSettings(config);
  const signal = interruptSignal();
  const say = (line: string) => (options.json ? undefined : process.stdout.write(`${line}\n`));
  const { parts, byHand } = neededParts(name);
  const folders: Record<string, string> = {};
  if (settings.offline) {
    for (const { id } of parts) {
      const cached = findCached(settings.cacheDir, id);
      if (!cached?.complete) throw new FromageError({ code: 'HUB_OFFLINE', what: `${id} is not whole on this machine and cannot be fetched`, why: 'FROMAGE_OFFLINE (or HF_HUB_OFFLINE) is set', todo: 'unset it, or use what is here: "fromage models list"' });
      folders[id] = cached.folder;
    }
    say(`${name} is on this machine.`);
  } else {
    const plan = await planPull(parts, settings, options.quant ?? config.FROMAGE_WEIGHTS, signal);
    if (!options.json) process.stdout.write(describe(plan, settings.cacheDir));
    checkPlan(plan, name, options.acceptLicenses ?? false, settings.cacheDir);
    for (const { repository } of plan.parts) {
      const bar = createProgress(repository.id, 'MB', options.json);
      try {
        folders[repository.id] = await downloadRepository(repository, settings, { signal, onProgress: (done, total) => bar.update(Math.round(done / 1e6), Math.round(total / 1e6)) });
      } catch (thrown) {
        bar.end();
        if (signal.aborted) process.stderr.write(`Stopped. What came stays; "fromage models pull ${name}" goes on from there.\n`);
        throw thrown;
      }
      bar.end();
    }
  }
  checkAdapterKind(name, parts.find(({ part }) => part === 'adapter')?.id, folders);
  if (options.quant !== undefined) await convert(name, parts.map(({ id }) => id), folders, options.quant, cacheFolder(config), options.json ?? false);
  if (options.json) process.stdout.write(`${JSON.stringify({ name, folders, by_hand: byHand })}\n`);
  else {
    say(byHand === null ? `Done. ${findPreset(name) ? `Start it with: fromage start --model ${name}` : `Use it with --lm, --vision or --adapter ${name}`}` : `One thing is left: ${byHand}.`);
  }
}

/** The hub's own copy of an adapter could be another one than the preset promises. */
function checkAdapterKind(name: string, id: string | undefined, folders: Readonly<Record<string, string>>): void {
  const wanted = findPreset(name)?.visualTokens;
  const folder = id === undefined ? undefined : folders[id];
  if (wanted === undefined || folder === undefined) return;
  const { visualTokens } = readAdapterFolder(folder).tensors;
  if (visualTokens !== wanted) throw new FromageError({ code: 'MODEL_ADAPTER_KIND', what: `${id} has ${visualTokens} visual tokens, ${name} is meant to have ${wanted}`, todo: 'take the adapter from https://github.com/kohjingyu/fromage and name it with --adapter' });
}

async function convert(name: string, ids: readonly string[], folders: Readonly<Record<string, string>>, weights: 'q8' | 'q4', cacheDir: string, quiet: boolean): Promise<void> {
  const id = findPreset(name)?.languageModel ?? ids[0] ?? name;
  const source = singleGguf(folders[id] ?? '');
  const bar = createProgress(`converting to ${weights}`, 'per cent', quiet);
  const opened = await openLanguageModelWeights({ source, weights, cacheDir, onProgress: (done) => bar.update(Math.round(done * 100), 100) });
  opened.close();
  bar.end();
}

function describe({ parts, download, convertedBytes, memoryBytes, conversationBytes, machineBytes }: PullPlan, cacheDir: string): string {
  const rows = parts.map(({ part, repository, bytes, licence }) => [part, repository.id, bytesText(bytes), `${licence.name}${licence.url === null ? '' : ` — ${licence.url}`}`]);
  const lines = [
    `\nto fetch   ${bytesText(download.missing)} of ${bytesText(download.bytes)} into ${cacheDir} (${bytesText(download.free)} free)`,
    ...(convertedBytes > 0 ? [`on disk    about ${bytesText(convertedBytes)} more for converted weights, written at the first start`] : []),
    `in memory  about ${bytesText(memoryBytes)} on the CPU${conversationBytes > 0 ? ` (${bytesText(conversationBytes)} of it for one conversation that fills the context window)` : ''}; this machine has ${bytesText(machineBytes)}`,
  ];
  return `${tableText([['part', 'model', 'size', 'licence'], ...rows])}${lines.join('\n')}\n`;
}
