// The slash commands, the message menu command and autocomplete, made of the one table of commands.
import { type AutocompleteInteraction, PermissionFlagsBits, type REST, Routes } from 'discord.js';
import { type ChatServices, commandTable, type CommandOption, type CommandSpec, isSettingName, type MessageKey, say, settingNames, settingRules } from '../../src/chat/index.ts';


/** The commands in a message's menu, and what they do with that message. */
const menus = [
  { label: 'menu.ask', command: 'ask' },
  { label: 'menu.wrong', command: 'wrong' },
] as const;

export function menuCommand(name: string): (typeof menus)[number]['command'] | null {
  return menus.find(({ label }) => say('en', label) === name)?.command ?? null;
}

const optionTypes = { text: 3, user: 6, picture: 11, 'answer-setting': 3 } as const;
const everywhere = { integration_types: [0, 1], contexts: [0, 1, 2] };

/** The whole set for one PUT. */
export function commandBodies(): Record<string, unknown>[] {
  const slash = commandTable.map((spec) => ({
    type: 1,
    name: spec.name,
    description: short(say('en', spec.description)),
    description_localizations: { ru: short(say('ru', spec.description)) },
    options: spec.options.map((option) => optionBody(option)),
    ...everywhere,
    ...permissionOf(spec),
  }));
  return [...slash, ...menus.map(({ label }) => ({ type: 3, name: say('en', label), name_localizations: { ru: say('ru', label).slice(0, 32) }, ...everywhere }))];
}

function optionBody(option: CommandOption): Record<string, unknown> {
  const described = (key: MessageKey): Record<string, unknown> => ({ description: short(say('en', key)), description_localizations: { ru: short(say('ru', key)) } });
  return {
    type: optionTypes[option.kind],
    name: option.name.toLowerCase(),
    required: option.required ?? false,
    ...described(option.description),
    ...(option.choices ? { choices: option.choices.slice(0, 25).map((value) => ({ name: value, value })) } : {}),
    ...(option.suggest ? { autocomplete: true } : {}),
    ...(option.kind === 'text' && !option.choices ? { max_length: 1_500 } : {}),
  };
}

/** Only a default that a server's administrators can change: the handler checks again. */
function permissionOf(spec: CommandSpec): Record<string, unknown> {
  return spec.who === 'everyone' ? {} : { default_member_permissions: PermissionFlagsBits.ManageGuild.toString() };
}

function short(text: string): string {
  return text.slice(0, 100);
}

export async function registerCommands(rest: REST, applicationId: string): Promise<void> {
  await rest.put(Routes.applicationCommands(applicationId), { body: commandBodies() });
}

/** Suggestions from memory, at most 25, never from the model: there are three seconds. */
export async function suggest(interaction: AutocompleteInteraction, services: ChatServices): Promise<void> {
  const focused = interaction.options.getFocused(true);
  const spec = commandTable.find(({ name }) => name === interaction.commandName);
  const kind = spec?.options.find(({ name }) => name.toLowerCase() === focused.name)?.suggest;
  let values: string[] = [];
  if (kind === 'setting-values') values = settingValues(interaction.options.getString('name') ?? '');
  if (kind === 'adapters' && services.adapters) values = ['none', ...(await services.adapters.list()).map(({ id }) => id)];
  const typed = focused.value.toLowerCase();
  const matching = values.filter((value) => value.toLowerCase().startsWith(typed)).slice(0, 25);
  await interaction.respond(matching.map((value) => ({ name: value.slice(0, 100), value: value.slice(0, 100) })));
}

function settingValues(name: string): string[] {
  if (!isSettingName(name)) return [...settingNames];
  const rule = settingRules[name];
  if (rule.kind === 'switch') return ['on', 'off'];
  if (rule.kind === 'choice') return [...rule.values];
  const steps = rule.whole ? Math.min(rule.max - rule.min, 10) : 10;
  return Array.from({ length: steps + 1 }, (_, i) => String(Number((rule.min + ((rule.max - rule.min) * i) / steps).toFixed(2))));
}
