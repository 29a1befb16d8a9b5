// Commands of administrators and operators: training, adapters, the gallery, bans and limits.
import { setTimeout as sleep } from 'node:timers/promises';
import type { OutgoingMessage } from './contracts.ts';
import { type Desk, editRow, type Scene, sendReply, speak } from './desk.ts';
import { nativeId } from './directory.ts';
import { isLimit, readLimits } from './gate.ts';
import { namedPictures, teach } from './picture-commands.ts';
import { sentence } from './reply.ts';
import type { JobStatus } from './services.ts';
import type { CommandEvent } from './types.ts';

export async function retrainCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { jobs } = desk.services;
  if (!jobs) return notThere(scene, event);
  const by = scene.author.id;
  switch (event.options.action) {
    case 'start': {
      const started = await jobs.start({ by, reason: event.options.reason?.slice(0, 200) ?? '', locale: scene.locale });
      if (started.started) followJob(desk, scene, started.job);
      return answer(scene, event, started.started ? speak(scene, 'retrain.started', { summary: started.job.summary }) : speak(scene, 'retrain.notStarted', { why: started.why }));
    }
    case 'cancel':
      return answer(scene, event, speak(scene, (await jobs.cancel(by)) ? 'retrain.cancelled' : 'retrain.nothing'));
    case 'history': {
      const runs = await jobs.history(10, scene.locale);
      return answer(scene, event, runs.length === 0 ? speak(scene, 'retrain.none') : runs.map((run) => statusLine(scene, run)).join('\n'));
    }
    default: {
      const status = await jobs.status(scene.locale);
      return answer(scene, event, status ? statusLine(scene, status) : speak(scene, 'retrain.none'));
    }
  }
}

const over = new Set<JobStatus['state']>(['done', 'failed', 'cancelled', 'refused']);

/** The message that said the start is edited as the job goes on, a few times a minute and at its end. */
function followJob(desk: Desk, scene: Scene, job: JobStatus): void {
  const ended = new AbortController();
  const pauseMs = 5 * scene.platform.streamRule(scene.place).intervalMs;
  let newest: JobStatus | null = null;
  let busy = false;
  let count = 0;
  const follow = async (): Promise<void> => {
    for (let status = newest; status; status = newest) {
      newest = null;
      const message = await startMessage(desk, scene);
      const unit = scene.platform.render(sentence(scene.locale, statusLine(scene, status)))[0];
      if (message === null || !unit) return ended.abort();
      await desk.store.outbox.enqueue([editRow(scene, `${scene.key}:job:${count++}`, message, unit)]);
      scene.delivery.wake();
      if (over.has(status.state)) return ended.abort();
      await sleep(pauseMs, undefined, { ref: false });
    }
  };
  desk.services.jobs?.watch?.(job.id, (status) => {
    newest = status;
    if (busy) return;
    busy = true;
    follow()
      .catch((error: unknown) => desk.log.warn({ err: error }, 'the progress of a job could not be shown'))
      .finally(() => {
        busy = false;
      });
  }, ended.signal, scene.locale);
}

/** The id of the message that said the start, once it is sent; null when it never was. */
async function startMessage(desk: Desk, scene: Scene): Promise<string | null> {
  for (let i = 0; i < 150; i++) {
    const row = await desk.store.outbox.find(`${scene.key}:0`);
    if (row?.state === 'dead') return null;
    if (row?.messageIds[0] !== undefined) return row.messageIds[0];
    await sleep(200, undefined, { ref: false });
  }
  return null;
}

function statusLine(scene: Scene, { id, state, progress, examples, summary }: JobStatus): string {
  return speak(scene, 'retrain.status', { id, state, percent: Math.round(progress * 100), examples, summary });
}

export async function adapterCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { adapters } = desk.services;
  if (!adapters) return notThere(scene, event);
  const [id = '', ...reason] = event.options.id?.trim().split(/\s+/) ?? [];
  const because = (words: readonly string[]): string => words.join(' ').slice(0, 200);
  const line = (version: { id: string; serving: boolean; parent: string | null }): string =>
    speak(scene, 'adapter.line', { id: version.id, serving: version.serving ? 'yes' : 'no', parent: version.parent ?? '—' });
  switch (event.options.action) {
    case 'show':
    case 'promote': {
      const version = id === '' ? null : await adapters.show(id, scene.locale);
      if (!version) return answer(scene, event, speak(scene, 'adapter.none'));
      if (event.options.action === 'show') return answer(scene, event, [line(version), ...version.details].join('\n'));
      const promoted = await adapters.promote(id, scene.author.id, because(reason));
      return answer(scene, event, speak(scene, 'adapter.promoted', { id: promoted.id }));
    }
    case 'pin': {
      if (id === '') return answer(scene, event, speak(scene, 'adapter.none'));
      const pinned = await adapters.pin(scene.chat.id, id.toLowerCase() === 'none' ? null : id);
      return answer(scene, event, pinned === null ? speak(scene, 'adapter.unpinned') : speak(scene, 'adapter.pinned', { id: pinned }));
    }
    case 'rollback': {
      const back = await adapters.rollback(scene.author.id, because([id, ...reason]));
      return answer(scene, event, back ? speak(scene, 'adapter.rolledBack', { id: back.id }) : speak(scene, 'adapter.noEarlier'));
    }
    default: {
      const pinned = await adapters.pinned(scene.chat.id);
      const lines = [...(await adapters.list()).map(line), ...(pinned === null ? [] : [speak(scene, 'adapter.here', { id: pinned })])];
      return answer(scene, event, lines.join('\n') || speak(scene, 'adapter.none'));
    }
  }
}

export async function galleryCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { galleryAdmin } = desk.services;
  if (!galleryAdmin) return notThere(scene, event);
  if (event.options.action === 'add') return teach(desk, scene, event, event.options.text?.trim() ?? '');
  if (event.options.action === 'remove') {
    const ids = await namedPictures(desk, scene, event, event.options.text);
    if (ids.length === 0) return answer(scene, event, speak(scene, 'unlearn.which'));
    // A chat's administrator rules over the chat's own pictures, an operator over all that the chat sees.
    const tenants = scene.standing.operator ? scene.filter.tenants : scene.filter.tenants.filter((tenant) => tenant.startsWith('chat:'));
    const removed = await galleryAdmin.remove({ ids, tenants, deny: true });
    return answer(scene, event, speak(scene, 'gallery.removed', { count: removed.length }));
  }
  const { total, own, index } = await galleryAdmin.stats(scene.filter.tenants);
  return answer(scene, event, speak(scene, 'gallery.stats', { total, own, index }));
}

export async function banCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { place } = scene;
  const typed = event.options.user?.match(/\d{1,20}/)?.[0];
  const id = event.replyTo?.author ?? (typed === undefined ? null : `${place.platform}:${typed}`);
  if (id === null) return answer(scene, event, speak(scene, 'ban.nobody'));
  const user = await desk.directory.user({ id, name: '', chatAdmin: false });
  if (event.options.action === 'lift') {
    await desk.store.bans.unban(user.id, scene.chat.id);
    return answer(scene, event, speak(scene, 'ban.lifted', { user: nativeId(id) }));
  }
  const { reason } = event.options;
  await desk.store.bans.ban(user.id, { chatId: scene.chat.id, by: scene.user.id, ...(reason === undefined ? {} : { reason: reason.slice(0, 200) }) });
  return answer(scene, event, speak(scene, 'ban.done', { user: nativeId(id) }));
}

export async function limitsCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const { name, value } = event.options;
  if (name === 'user' || name === 'chat') {
    const number = Number(value);
    if (value === undefined || !isLimit(number)) return answer(scene, event, speak(scene, 'refuse.option', { value: (value ?? '').slice(0, 40), allowed: '1–10000' }));
    await desk.store.settings.set('global', `limit.${name}`, number);
    desk.directory.changed('global');
    return answer(scene, event, speak(scene, 'limits.saved', { name, value: number }));
  }
  return answer(scene, event, speak(scene, 'limits.list', await readLimits(desk)));
}

function notThere(scene: Scene, event: CommandEvent): OutgoingMessage[] {
  return answer(scene, event, speak(scene, 'refuse.notThere', { command: event.command }));
}

function answer(scene: Scene, event: CommandEvent, text: string): OutgoingMessage[] {
  return sendReply(scene, sentence(scene.locale, text), event.messageId === undefined ? {} : { replyTo: event.messageId });
}
