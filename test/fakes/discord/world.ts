// The servers, channels, people and messages of the fake Discord.
export type Json = Record<string, unknown>;

export interface FakeUser {
  readonly id: string;
  readonly username: string;
  readonly bot: boolean;
  readonly locale: string;
}

export interface FakeChannel {
  readonly id: string;
  readonly guildId: string | null;
  readonly parentId: string | null;
  readonly type: 0 | 1 | 11;
  /** The other one in a direct message. */
  readonly recipient?: FakeUser;
  /** Of a thread. Sending opens an archived one, unless it is locked. */
  archived?: boolean;
  locked?: boolean;
}

export interface FakeAttachment {
  readonly id: string;
  readonly filename: string;
  readonly description: string | undefined;
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface FakeMessage {
  readonly id: string;
  readonly channel: FakeChannel;
  readonly author: FakeUser;
  content: string;
  attachments: FakeAttachment[];
  components: Json[];
  flags: number;
  readonly mentions: readonly FakeUser[];
  readonly reference: { readonly messageId: string; readonly type: 0 | 1; readonly channel: FakeChannel } | null;
  readonly snapshot: { readonly content: string; readonly attachments: readonly FakeAttachment[] } | null;
  readonly nonce: string | null;
  readonly ephemeralFor: string | null;
  readonly webhook: boolean;
  editedAt: number | null;
  /** Every content it ever had, oldest first. */
  readonly history: string[];
}

let counter = 0;

/** Ids that grow with time, as Discord's. */
export function snowflake(): string {
  counter = (counter + 1) % 4096;
  return ((BigInt(Date.now() - 1_420_070_400_000) << 22n) + BigInt(counter)).toString();
}

export class DiscordWorld {
  readonly bot: FakeUser = { id: '900000000000000001', username: 'fromage', bot: true, locale: 'en-US' };
  readonly channels = new Map<string, FakeChannel>();
  readonly guilds = new Map<string, { readonly id: string; readonly admins: ReadonlySet<string> }>();
  readonly messages = new Map<string, FakeMessage[]>();

  user(id: string, locale = 'en-US'): FakeUser {
    return { id, username: `user${id}`, bot: false, locale };
  }

  guild(admins: readonly FakeUser[] = []): string {
    const id = snowflake();
    this.guilds.set(id, { id, admins: new Set(admins.map((user) => user.id)) });
    return id;
  }

  channel(guildId: string, parentId: string | null = null): FakeChannel {
    return this.#add({ id: snowflake(), guildId, parentId, type: parentId === null ? 0 : 11 });
  }

  direct(recipient: FakeUser): FakeChannel {
    return this.#add({ id: snowflake(), guildId: null, parentId: null, type: 1, recipient });
  }

  in(channelId: string): FakeMessage[] {
    let list = this.messages.get(channelId);
    if (!list) this.messages.set(channelId, (list = []));
    return list;
  }

  find(channelId: string, id: string): FakeMessage | undefined {
    return this.in(channelId).find((message) => message.id === id);
  }

  said(channel: FakeChannel): FakeMessage[] {
    return this.in(channel.id).filter(({ author }) => author.id === this.bot.id);
  }

  add(message: Omit<FakeMessage, 'id' | 'history' | 'editedAt'> & { readonly id?: string }): FakeMessage {
    const whole = { ...message, id: message.id ?? snowflake(), editedAt: null, history: [message.content] };
    this.in(message.channel.id).push(whole);
    return whole;
  }

  remove(message: FakeMessage): void {
    const list = this.in(message.channel.id);
    list.splice(list.indexOf(message), 1);
  }

  #add(channel: FakeChannel): FakeChannel {
    this.channels.set(channel.id, channel);
    return channel;
  }
}

export function userBody(user: FakeUser): Json {
  return {
    id: user.id, username: user.username, avatar: null, discriminator: '0', public_flags: 0, flags: 0, global_name: user.username, primary_guild: null,
    ...(user.bot ? { bot: true } : {}),
  };
}

/** The bot as it sees itself. */
export function ownUserBody(user: FakeUser): Json {
  return { ...userBody(user), mfa_enabled: false, locale: user.locale, email: null, verified: true };
}

export function applicationBody(bot: FakeUser): Json {
  return {
    id: bot.id, name: bot.username, icon: null, description: '', type: null, flags: 0, flags_new: '0', bot: userBody(bot), bot_public: true, bot_require_code_grant: false, verify_key: '0'.repeat(64),
    redirect_uris: [], interactions_endpoint_url: null, role_connections_verification_url: null, owner: userBody({ ...bot, id: '1', username: 'owner', bot: false }), approximate_guild_count: 1,
    approximate_user_install_count: 0, approximate_user_authorization_count: 0, explicit_content_filter: 0, team: null, eligible_oauth2_scopes: [],
  };
}

export function channelBody(channel: FakeChannel): Json {
  if (channel.type === 1) return { id: channel.id, type: 1, flags: 0, last_message_id: null, recipients: channel.recipient ? [userBody(channel.recipient)] : [] };
  const common = { id: channel.id, type: channel.type, flags: 0, guild_id: channel.guildId, name: `channel-${channel.id}`, parent_id: channel.parentId, last_message_id: null };
  if (channel.type === 0) return { ...common, position: 0, permission_overwrites: [] };
  return { ...common, owner_id: '1', thread_metadata: { archived: channel.archived ?? false, auto_archive_duration: 1440, archive_timestamp: new Date().toISOString(), locked: channel.locked ?? false }, message_count: 0, member_count: 1, total_message_sent: 0 };
}
