// `fromage retrain start|status|cancel|history|promote|rollback|settings`.
import { setTimeout as pause } from 'node:timers/promises';
import type { JobStatus } from '../../chat/services.ts';
import { FromageError } from '../../errors.ts';
import { interruptSignal } from '../interrupt.ts';
import { withLearningRecords } from '../learning-records.ts';

const lookMs = 500;
/** After this long somebody is told that no program has taken the job. */
const patienceMs = 10_000;

export async function startRun({ reason, wait, json }: { readonly reason: string; readonly wait: boolean; readonly json?: boolean }): Promise<void> {
  const signal = interruptSignal();
  await withLearningRecords(async ({ jobs }) => {
    const { created, job } = await jobs.request(reason);
    if (!created) throw new FromageError({ code: 'CLI_RUNNING', what: `a run is under way already (${job.id})`, todo: '"fromage retrain status" follows it, "fromage retrain cancel" stops it' });
    let status: JobStatus = job;
    let said = '';
    const began = Date.now();
    let told = false;
    while (wait && status.endedAt === null && !signal.aborted) {
      if (!json && status.summary !== said) process.stdout.write(`${line(status)}\n`);
      said = status.summary;
      if (!json && !told && status.state === 'waiting' && Date.now() - began > patienceMs) {
        told = true;
        process.stdout.write('no running program has taken the job yet: "fromage start" does\n');
      }
      await pause(lookMs, undefined, { signal }).catch(() => {});
      status = (await jobs.history(20)).find(({ id }) => id === job.id) ?? status;
    }
    process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${line(status)}\n`);
    if (status.state === 'failed' || status.state === 'refused') process.exitCode = 1;
  });
}

export async function showStatus({ json }: { readonly json?: boolean }): Promise<void> {
  await withLearningRecords(async ({ jobs }) => {
    const status = await jobs.status();
    process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${status ? line(status) : 'there was no training yet'}\n`);
  });
}

export async function cancelRun(): Promise<void> {
  await withLearningRecords(async ({ jobs }) => {
    process.stdout.write((await jobs.cancel('')) ? 'the run is being stopped\n' : 'no run is under way\n');
  });
}

export async function showHistory({ limit, json }: { readonly limit: string; readonly json?: boolean }): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1) throw new FromageError({ code: 'CLI_OPTION', what: `--limit is ${limit.slice(0, 40)}`, todo: 'give a whole number from 1 on' });
  await withLearningRecords(async ({ jobs }) => {
    const runs = await jobs.history(count);
    if (json) process.stdout.write(`${JSON.stringify(runs)}\n`);
    else process.stdout.write(runs.length === 0 ? 'there was no training yet\n' : runs.map((run) => `${line(run)}\n`).join(''));
  });
}

export async function promoteVersion(id: string, { reason }: { readonly reason: string }): Promise<void> {
  await withLearningRecords(async ({ adapters }) => {
    const version = await adapters.promote(id, 'command line', reason);
    process.stdout.write(`${version.id} serves from now on; a running program follows within seconds\n`);
  });
}

export async function rollBack({ reason }: { readonly reason: string }): Promise<void> {
  await withLearningRecords(async ({ adapters }) => {
    const back = await adapters.rollback('command line', reason);
    process.stdout.write(back ? `${back.id} serves again; a running program follows within seconds\n` : 'there is no earlier version to go back to\n');
  });
}

/** Without a name lists all, with a name one, with a value changes it. */
export async function learningSettings(name: string | undefined, value: string | undefined, { unset, json }: { readonly unset?: boolean; readonly json?: boolean }): Promise<void> {
  await withLearningRecords(async (records) => {
    if (name !== undefined && (unset || value !== undefined)) await records.setSetting(name, unset ? null : (value ?? null));
    const settings = (await records.settings()).filter((one) => name === undefined || one.name === name || name.startsWith(`${one.name}.`));
    if (json) process.stdout.write(`${JSON.stringify(settings)}\n`);
    else process.stdout.write(settings.map((one) => `${one.name} = ${JSON.stringify(one.value)}${one.kept ? ' (set here)' : ''}\n    ${one.description}\n`).join(''));
  });
}

function line({ id, state, startedAt, progress, examples, summary }: JobStatus): string {
  return `${id.slice(0, 8)}  ${new Date(startedAt).toISOString().slice(0, 16).replace('T', ' ')}  ${state} ${Math.round(progress * 100)} %  ${examples} new examples  ${summary}`;
}
