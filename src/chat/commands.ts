// The table of commands, once for all platforms: names, options, who may. Platforms make their menus of
// it; the handler checks permissions by it again, for a menu can be bypassed.
import type { MessageKey } from './i18n/index.ts';
import { settingNames } from './settings.ts';

/** `admin` = administrator of the chat or server; `operator` = listed in FROMAGE_ADMINS. An operator may do everything. */
export type Permission = 'everyone' | 'admin' | 'operator';

export interface CommandOption {
  readonly name: string;
  readonly description: MessageKey;
  readonly kind: 'text' | 'picture' | 'user' | 'answer-setting';
  readonly required?: boolean;
  readonly choices?: readonly string[];
  /** Suggestions while typing, where the platform has them. */
  readonly suggest?: 'setting-values' | 'adapters';
}

export interface CommandSpec {
  readonly name: string;
  readonly description: MessageKey;
  readonly who: Permission;
  readonly options: readonly CommandOption[];
  /** Actions that somebody else may too. */
  readonly actions?: Readonly<Record<string, Permission>>;
  /** Only the asker sees the answer, where the platform can do that. */
  readonly quiet: boolean;
  /** Works beside an answer that is being made instead of after it. */
  readonly urgent?: boolean;
}

const text = (name: string, description: MessageKey, required = false): CommandOption => ({ name, description, kind: 'text', required });
const choice = (name: string, description: MessageKey, choices: readonly string[], required = true): CommandOption => ({ name, description, kind: 'text', required, choices });
const picture = (required = false): CommandOption => ({ name: 'picture', description: 'option.picture', kind: 'picture', required });

export const commandTable: readonly CommandSpec[] = [
  { name: 'ask', description: 'command.ask', who: 'everyone', quiet: false, options: [text('text', 'option.text', true), picture()] },
  { name: 'show', description: 'command.show', who: 'everyone', quiet: false, options: [text('what', 'option.what', true)] },
  { name: 'similar', description: 'command.similar', who: 'everyone', quiet: false, options: [picture()] },
  { name: 'reset', description: 'command.reset', who: 'everyone', quiet: false, options: [] },
  { name: 'stop', description: 'command.stop', who: 'everyone', quiet: true, urgent: true, options: [] },
  { name: 'undo', description: 'command.undo', who: 'everyone', quiet: false, options: [] },
  {
    name: 'settings', description: 'command.settings', who: 'everyone', quiet: true,
    options: [choice('name', 'option.setting', settingNames, false), { name: 'value', description: 'option.value', kind: 'text', suggest: 'setting-values' }],
  },
  { name: 'learn', description: 'command.learn', who: 'everyone', quiet: false, options: [picture(true), text('caption', 'option.caption', true)] },
  { name: 'unlearn', description: 'command.unlearn', who: 'everyone', quiet: false, options: [text('id', 'option.pictureId')] },
  { name: 'wrong', description: 'command.wrong', who: 'everyone', quiet: true, options: [text('which', 'option.which')] },
  { name: 'right', description: 'command.right', who: 'everyone', quiet: true, options: [picture(), text('which', 'option.whichRight')] },
  { name: 'shows', description: 'command.shows', who: 'everyone', quiet: true, options: [text('caption', 'option.caption', true)] },
  { name: 'consent', description: 'command.consent', who: 'everyone', quiet: true, options: [choice('action', 'option.consent', ['status', 'give', 'withdraw'], false), choice('for', 'option.purpose', ['text', 'pictures', 'votes', 'all'], false)] },
  { name: 'privacy', description: 'command.privacy', who: 'everyone', quiet: true, urgent: true, options: [] },
  { name: 'mydata', description: 'command.mydata', who: 'everyone', quiet: true, options: [] },
  { name: 'forget', description: 'command.forget', who: 'everyone', quiet: true, options: [] },
  { name: 'help', description: 'command.help', who: 'everyone', quiet: true, urgent: true, options: [] },
  { name: 'status', description: 'command.status', who: 'everyone', quiet: true, urgent: true, options: [] },
  { name: 'retrain', description: 'command.retrain', who: 'operator', quiet: false, options: [choice('action', 'option.action', ['start', 'status', 'cancel', 'history']), text('reason', 'option.reason')] },
  {
    name: 'adapter', description: 'command.adapter', who: 'operator', actions: { list: 'admin', pin: 'admin' }, quiet: false,
    options: [choice('action', 'option.action', ['list', 'show', 'promote', 'rollback', 'pin']), { name: 'id', description: 'option.adapterId', kind: 'text', suggest: 'adapters' }],
  },
  { name: 'gallery', description: 'command.gallery', who: 'admin', quiet: false, options: [choice('action', 'option.action', ['add', 'remove', 'stats']), picture(), text('text', 'option.galleryText')] },
  { name: 'ban', description: 'command.ban', who: 'admin', quiet: true, options: [{ name: 'user', description: 'option.user', kind: 'user', required: true }, choice('action', 'option.action', ['add', 'lift'], false), text('reason', 'option.reason')] },
  { name: 'limits', description: 'command.limits', who: 'operator', quiet: true, options: [choice('name', 'option.limit', ['user', 'chat'], false), text('value', 'option.value')] },
];

export function findCommand(name: string): CommandSpec | null {
  return commandTable.find((spec) => spec.name === name) ?? null;
}

/** True when somebody of this standing may use it: this action of it, or without one any. */
export function mayUse(spec: CommandSpec, standing: { readonly chatAdmin: boolean; readonly operator: boolean }, action?: string): boolean {
  if (standing.operator) return true;
  const allowed = (who: Permission): boolean => who === 'everyone' || (who === 'admin' && standing.chatAdmin);
  return action === undefined ? [spec.who, ...Object.values(spec.actions ?? {})].some(allowed) : allowed(spec.actions?.[action] ?? spec.who);
}

/**
 * Reads options typed as plain text (`promote a1`, `temperature 0.7`): options with choices take one word
 * each when it matches, the first free text option takes the rest.
 */
export function parseOptions(spec: CommandSpec, typed: string): Record<string, string> {
  const options: Record<string, string> = {};
  let rest = typed.trim();
  const free = spec.options.filter(({ kind }) => kind !== 'picture');
  for (const [i, option] of free.entries()) {
    if (rest === '') break;
    const [word = ''] = rest.split(/\s+/, 1);
    if (option.choices) {
      const match = option.choices.find((value) => value.toLowerCase() === word.toLowerCase());
      if (match === undefined) {
        // A required choice keeps the wrong word, so that the handler can say what is allowed.
        if (option.required || i === 0) {
          options[option.name] = word;
          rest = rest.slice(word.length).trimStart();
        }
        continue;
      }
      options[option.name] = match;
      rest = rest.slice(word.length).trimStart();
    } else if (option.kind === 'user' || (i < free.length - 1 && option.kind !== 'text')) {
      options[option.name] = word;
      rest = rest.slice(word.length).trimStart();
    } else {
      options[option.name] = rest;
      rest = '';
    }
  }
  return options;
}
