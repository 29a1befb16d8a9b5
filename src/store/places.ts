// Where a person alone talks with the bot: private chats, and the lanes of the queues named after them.
import type { Client, Transaction } from './database.ts';

export interface Places {
  readonly privateChats: readonly { readonly id: string; readonly platform: string; readonly externalId: string; readonly title: string | null }[];
  readonly lanes: readonly string[];
  /** What gallery pictures and settings of these chats are filed under. */
  readonly tenants: readonly string[];
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
  // Lanes are named by the chat room: `telegram:<chat>`, or `telegram:<chat>#aside` for a lane beside it.
  const exact = names.flatMap((name) => [{ key: name }, { key: { startsWith: `${name}#` } }]);
  const prefixed = names.flatMap((name) => [':', '/'].flatMap((before) => [{ key: { endsWith: before + name } }, { key: { contains: `${before}${name}#` } }]));
  const found = names.length === 0 ? [] : await client.lane.findMany({ where: { platform: user.platform, OR: [...exact, ...prefixed] }, select: { key: true } });
  return {
    privateChats,
    lanes: [...new Set(found.map((lane) => lane.key))],
    tenants: privateChats.flatMap((chat) => [`chat:${chat.id}`, `chat:${chat.platform}:${chat.externalId}`]),
  };
}
