// The command menus: one per scope and language, made of the one table of commands.
import { commandTable, type CommandSpec, locales, say } from '../../src/chat/index.ts';
import type { TelegramApi } from './api.ts';

/** Who sees which commands; what a person may really do is checked when the command comes. */
const scopes: readonly { readonly scope: { readonly type: string }; readonly shows: (spec: CommandSpec) => boolean }[] = [
  { scope: { type: 'all_private_chats' }, shows: ({ who }) => who !== 'operator' },
  { scope: { type: 'all_group_chats' }, shows: ({ who, name }) => who === 'everyone' && name !== 'mydata' },
  { scope: { type: 'all_chat_administrators' }, shows: ({ who }) => who !== 'operator' },
];

/** Registers the menus; operators get theirs in their private chats. */
export async function registerMenus(api: TelegramApi, operatorIds: readonly string[]): Promise<void> {
  const all = [...scopes, ...operatorIds.map((id) => ({ scope: { type: 'chat', chat_id: Number(id) }, shows: () => true }))];
  for (const { scope, shows } of all) {
    for (const locale of locales) {
      const commands = commandTable.filter(shows).map(({ name, description }) => ({ command: name, description: say(locale, description).slice(0, 256) }));
      // English is also what speakers of other languages see.
      await api.call('setMyCommands', { commands, scope, ...(locale === 'en' ? {} : { language_code: locale }) });
    }
  }
}
