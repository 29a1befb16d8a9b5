// Where a person alone talks with the bot: private chats, and the lanes of the queues named after them.
import type { Client, Transaction } from './database.ts';

export interface Places {
  readonly privateChats: readonly { readonly id: string; readonly platform: string; readonly externalId: string; readonly title: string | null }[];
  readonly lanes: readonly string[];
}

/**
 * @param user a private chat is this user's if they wrote in it, or if the platform names it as the user (Telegram)
 */
export async function placesOf(client: Client | Transaction, user: { id: string; platform: string; externalId: string }): Promise<Places> {
  const privateChats = await client.chat.findMany({
    where: { kind: 'private', platform: user.platform, OR: [{ externalId: user.externalId }, { conversations: { some: { turns: { some: { authorId: user.id } } } } }] },
    select: { id: true, platform: true, externalId: true, title: true },
  });
  const names = privateChats.flatMap((chat) => [chat.id, chat.externalId]);
  // Lanes are named by the platform's room, `telegram:<chat>` for instance: the chat is the last piece.
  const endings = names.flatMap((name) => [{ key: name }, { key: { endsWith: `:${name}` } }, { key: { endsWith: `/${name}` } }]);
  const found = endings.length === 0 ? [] : await client.lane.findMany({ where: { platform: user.platform, OR: endings }, select: { key: true } });
  return { privateChats, lanes: [...new Set(found.map((lane) => lane.key))] };
}
