// Commands: permission first, then the one function that does it. Commands whose room is not there say so.
import type { OutgoingMessage } from './contracts.ts';
import { adapterCommand, banCommand, galleryCommand, limitsCommand, retrainCommand } from './admin-commands.ts';
import { commandTable, type CommandSpec, findCommand, mayUse } from './commands.ts';
import { type Desk, type Scene, removeRow, sendReply, speak } from './desk.ts';
import { learnCommand, similarCommand, unlearnCommand } from './picture-commands.ts';
import { refusal } from './gate.ts';
import { rightCommand, showsCommand, wrongCommand } from './handle-corrections.ts';
import { consentCommand, forgetCommand, mydataCommand } from './handle-privacy.ts';
import { handleQuestion } from './question.ts';
import { showRequest } from './prompt.ts';
import { sentence } from './reply.ts';
import { describeRule, isSettingName, parseSetting, settingNames } from './settings.ts';
import type { CommandEvent } from './types.ts';

type Handler = (desk: Desk, scene: Scene, event: CommandEvent) => Promise<OutgoingMessage[]>;

const handlers: Readonly<Record<string, Handler>> = {
  ask: (desk, scene, event) => handleQuestion(desk, scene, { messageId: event.messageId ?? null, text: event.options.text ?? '', pictures: event.pictures, ...(event.messageIds ? { messageIds: event.messageIds } : {}), ...(event.replyTo ? { replyTo: event.replyTo } : {}) }),
  show: showCommand,
  similar: similarCommand,
  reset: async (desk, scene) => {
    await desk.store.conversations.reset(scene.chat.id);
    return say(scene, speak(scene, 'reset.done'));
  },
  stop: async (desk, scene, event) => say(scene, speak(scene, desk.running.takeStopped(event.id) ? 'stop.done' : 'stop.nothing')),
  undo: undoCommand,
  settings: settingsCommand,
  learn: learnCommand,
  unlearn: unlearnCommand,
  wrong: wrongCommand,
  right: rightCommand,
  shows: showsCommand,
  consent: (desk, scene, event) => consentCommand(desk, scene, event.options),
  privacy: async (_desk, scene) => say(scene, speak(scene, 'privacy.text')),
  mydata: (desk, scene) => mydataCommand(desk, scene),
  forget: (desk, scene) => forgetCommand(desk, scene),
  help: helpCommand,
  status: statusCommand,
  retrain: retrainCommand,
  adapter: adapterCommand,
  gallery: galleryCommand,
  ban: banCommand,
  limits: limitsCommand,
};

/** Names that have a handler; a test compares them with the table. */
export const handledCommands: readonly string[] = Object.keys(handlers);

/** A person's own data and how to stop are never refused to anybody. */
const always = new Set(['privacy', 'mydata', 'forget', 'consent', 'stop', 'help']);

export async function handleCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const spec = findCommand(event.command);
  const handler = spec && handlers[spec.name];
  if (!spec || !handler) return say(scene, speak(scene, 'refuse.unknownCommand', { command: event.command.slice(0, 32) }), event);
  if (!mayUse(spec, scene.standing, event.options.action)) return say(scene, speak(scene, spec.who === 'operator' && !spec.actions?.[event.options.action ?? ''] ? 'refuse.operator' : 'refuse.admin'), event);
  if (!always.has(spec.name)) {
    const refused = await refusal(desk, scene, { count: true });
    if (refused !== null) return say(scene, refused, event);
  }
  const wrong = wrongOption(scene, spec, event);
  if (wrong !== null) return say(scene, wrong, event);
  return handler(desk, scene, event);
}

/** Checked here for all platforms: a menu can be bypassed. */
function wrongOption(scene: Scene, spec: CommandSpec, event: CommandEvent): string | null {
  for (const option of spec.options) {
    const value = event.options[option.name];
    if (option.kind === 'picture') continue;
    if (value === undefined || value.trim() === '') {
      if (!option.required || (spec.name === 'learn' && option.name === 'caption')) continue;
      if (spec.name === 'ask' && event.pictures.length + (event.replyTo?.pictures.length ?? 0) > 0) continue;
      if (spec.name === 'ban' && event.replyTo?.author !== undefined) continue;
      const what = option.choices ? `${option.name}: ${option.choices.join(' | ')}` : speak(scene, option.description);
      return speak(scene, 'refuse.missing', { what });
    }
    if (option.choices && spec.name !== 'settings' && !option.choices.includes(value)) {
      return speak(scene, 'refuse.option', { value: value.slice(0, 40), allowed: option.choices.join(' | ') });
    }
  }
  return null;
}

async function showCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const what = event.options.what?.trim() ?? '';
  if (what === '') return say(scene, speak(scene, 'show.nothing'), event);
  return handleQuestion(desk, scene, { messageId: event.messageId ?? null, text: showRequest(what), pictures: [], forceRet: true, ...(event.replyTo ? { replyTo: event.replyTo } : {}) });
}

async function undoCommand(desk: Desk, scene: Scene): Promise<OutgoingMessage[]> {
  const { conversations } = desk.store;
  const conversation = await conversations.current(scene.chat.id);
  const turns = await conversations.turns(conversation.id);
  const last = turns.findLastIndex(({ role }) => role === 'user');
  const answers = turns.slice(Math.max(last, 0)).filter(({ role }) => role === 'assistant');
  const ids = (await Promise.all(answers.map(({ id }) => conversations.messageIds(id)))).flat();
  const removed = await conversations.undo(conversation.id);
  const rows = removed.length === 0 ? [] : ids.map((id) => removeRow(scene, `${scene.key}:remove${id}`, id));
  return [...rows, ...say(scene, speak(scene, removed.length > 0 ? 'undo.done' : 'undo.nothing'))];
}

async function settingsCommand(desk: Desk, scene: Scene, event: CommandEvent): Promise<OutgoingMessage[]> {
  const typed = event.options.name;
  const show = (value: unknown): string => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value));
  if (typed === undefined) {
    const lines = settingNames.map((name) => `• ${speak(scene, 'settings.line', { name: `${name} = ${show(scene.settings[name])}`, value: speak(scene, `settings.${name}`), allowed: describeRule(name) })}`);
    return say(scene, [speak(scene, 'settings.list'), ...lines, speak(scene, 'settings.hint')].join('\n'));
  }
  const name = settingNames.find((known) => known.toLowerCase() === typed.toLowerCase());
  if (name === undefined || !isSettingName(name)) return say(scene, speak(scene, 'settings.unknown', { name: typed.slice(0, 40), names: settingNames.join(', ') }));
  if (!scene.standing.chatAdmin && !scene.standing.operator) return say(scene, speak(scene, 'refuse.admin'));
  const value = parseSetting(name, event.options.value ?? '');
  if (value === null) return say(scene, speak(scene, 'refuse.option', { value: (event.options.value ?? '').slice(0, 40), allowed: describeRule(name) }));
  await desk.store.settings.set(scene.scope, name, value);
  desk.directory.changed(scene.scope);
  return say(scene, speak(scene, 'settings.saved', { name, value: show(value) }));
}

async function helpCommand(_desk: Desk, scene: Scene): Promise<OutgoingMessage[]> {
  const line = ({ name, description }: CommandSpec): string => speak(scene, 'help.line', { command: name, description: speak(scene, description) });
  const mine = commandTable.filter(({ who }) => who === 'everyone').map(line);
  const more = commandTable.filter((spec) => spec.who !== 'everyone' && mayUse(spec, scene.standing)).map(line);
  return say(scene, [speak(scene, 'help.intro'), '', ...mine, ...(more.length > 0 ? ['', speak(scene, 'help.admin'), ...more] : [])].join('\n'));
}

async function statusCommand(desk: Desk, scene: Scene): Promise<OutgoingMessage[]> {
  const late = new Promise<null>((resolve) => setTimeout(resolve, 2_000, null).unref());
  const info = await Promise.race([desk.engine.info().catch(() => null), late]);
  if (!info) return say(scene, speak(scene, 'status.starting'));
  const { model, servingAdapter: adapter, device } = info;
  const load = speak(scene, 'status.load', { running: desk.admission.running, queued: desk.admission.waiting });
  return say(scene, `${speak(scene, 'status.model', { model, adapter, device })}\n${load}`);
}

/** A sentence as the command's answer. */
export function say(scene: Scene, text: string, event?: CommandEvent): OutgoingMessage[] {
  const replyTo = event?.messageId ?? (scene.event.type === 'command' ? scene.event.messageId : undefined);
  return sendReply(scene, sentence(scene.locale, text, { quiet: true }), { ...(replyTo === undefined ? {} : { replyTo }) });
}

