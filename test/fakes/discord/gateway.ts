// The gateway of the fake Discord: hello, heartbeats, identify with intents, resume with replay,
// reconnect and invalid session on demand.
import type { Server } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { channelBody, type DiscordWorld, type Json, userBody } from './world.ts';

interface Session {
  readonly id: string;
  readonly intents: number;
  seq: number;
  readonly log: { readonly s: number; readonly t: string; readonly d: Json }[];
  socket: WebSocket | null;
}

export const intentBits = { messageContent: 1 << 15 } as const;

export interface GatewayOptions {
  readonly world: DiscordWorld;
  readonly token: string;
  readonly url: () => string;
  /** Intents that the application may not ask for: answered by closing with 4014. */
  readonly forbiddenIntents: () => number;
  readonly onViolation: (what: string) => void;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Map<string, Session>();
  /** What clients sent, by opcode, oldest first. */
  readonly received: { readonly op: number; readonly d: unknown }[] = [];
  #next = 1;

  constructor(server: Server, options: GatewayOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({ server, path: '/gateway' });
    this.#sockets.on('connection', (socket) => this.#greet(socket));
  }

  get current(): Session | null {
    return [...this.#sessions.values()].findLast(({ socket }) => socket !== null) ?? null;
  }

  /** Sends an event to the session; one that is away gets it when it resumes. */
  dispatch(t: string, body: (intents: number) => Json): void {
    const session = this.current ?? [...this.#sessions.values()].at(-1);
    if (!session) return;
    const d = body(session.intents);
    const s = ++session.seq;
    session.log.push({ s, t, d });
    session.socket?.send(JSON.stringify({ op: 0, s, t, d }));
  }

  /** The connection breaks without a word. */
  drop(): void {
    this.current?.socket?.terminate();
  }

  /** Opcode 7: please connect again. */
  reconnect(): void {
    this.current?.socket?.send(JSON.stringify({ op: 7, d: null }));
  }

  /** Opcode 9: the session is over, nothing will be replayed. */
  invalidate(): void {
    const session = this.current;
    if (!session) return;
    this.#sessions.delete(session.id);
    session.socket?.send(JSON.stringify({ op: 9, d: false }));
  }

  /** Events up to now are sent again, as a resumed session may. */
  replayAll(): void {
    const session = this.current;
    for (const { s, t, d } of session?.log ?? []) session?.socket?.send(JSON.stringify({ op: 0, s, t, d }));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise((resolve) => this.#sockets.close(resolve));
  }

  #greet(socket: WebSocket): void {
    socket.send(JSON.stringify({ op: 10, d: { heartbeat_interval: 20_000 } }));
    let session: Session | null = null;
    socket.on('message', (data) => {
      const { op, d } = JSON.parse(String(data)) as { op: number; d: Json };
      this.received.push({ op, d });
      if (String(data).length > 4_096) this.#options.onViolation('a gateway payload above 4,096 bytes');
      if (op === 1) socket.send(JSON.stringify({ op: 11 }));
      else if (op === 2) session = this.#identify(socket, d);
      else if (op === 6) session = this.#resume(socket, d);
    });
    socket.on('close', () => {
      if (session?.socket === socket) session.socket = null;
    });
  }

  #identify(socket: WebSocket, d: Json): Session | null {
    const intents = Number(d.intents);
    const refused = d.token !== this.#options.token ? 4004 : intents & this.#options.forbiddenIntents() ? 4014 : null;
    if (refused !== null) {
      socket.close(refused);
      return null;
    }
    const { world, url } = this.#options;
    const session: Session = { id: `session-${this.#next++}`, intents, seq: 0, log: [], socket };
    this.#sessions.set(session.id, session);
    this.#emit(session, 'READY', {
      v: 10, user: { ...userBody(world.bot), email: null, verified: true, mfa_enabled: false }, session_id: session.id, session_type: 'normal',
      resume_gateway_url: `${url().replace('http', 'ws')}/gateway`, guilds: [...world.guilds.keys()].map((id) => ({ id, unavailable: true })),
      application: { id: world.bot.id, flags: 0 }, shard: [0, 1],
    });
    for (const guild of world.guilds.values()) this.#emit(session, 'GUILD_CREATE', guildBody(world, guild.id));
    return session;
  }

  #resume(socket: WebSocket, d: Json): Session | null {
    const session = this.#sessions.get(String(d.session_id));
    if (!session || d.token !== this.#options.token) {
      socket.send(JSON.stringify({ op: 9, d: false }));
      return null;
    }
    session.socket = socket;
    for (const { s, t, d: body } of session.log) if (s > Number(d.seq)) socket.send(JSON.stringify({ op: 0, s, t, d: body }));
    this.#emit(session, 'RESUMED', {});
    return session;
  }

  #emit(session: Session, t: string, d: Json): void {
    const s = ++session.seq;
    session.log.push({ s, t, d });
    session.socket?.send(JSON.stringify({ op: 0, s, t, d }));
  }
}

export function guildBody(world: DiscordWorld, id: string): Json {
  const channels = [...world.channels.values()].filter(({ guildId }) => guildId === id);
  const role = { id, name: '@everyone', color: 0, colors: { primary_color: 0, secondary_color: null, tertiary_color: null }, icon: null, unicode_emoji: null, hoist: false, position: 0, permissions: '104324673', managed: false, mentionable: false, flags: 0 };
  const owner = [...(world.guilds.get(id)?.admins ?? [])][0] ?? '1';
  return {
    id, name: `guild-${id}`, icon: null, splash: null, discovery_splash: null, owner_id: owner, region: 'x', afk_channel_id: null, afk_timeout: 300, verification_level: 0,
    default_message_notifications: 0, explicit_content_filter: 0, roles: [role], emojis: [], features: [], mfa_level: 0, system_channel_id: null, system_channel_flags: 0,
    rules_channel_id: null, vanity_url_code: null, description: null, banner: null, premium_tier: 0, preferred_locale: 'en-US', public_updates_channel_id: null, nsfw_level: 0,
    stickers: [], premium_progress_bar_enabled: false, safety_alerts_channel_id: null, joined_at: new Date().toISOString(), large: false, member_count: 2, voice_states: [],
    members: [{ user: userBody(world.bot), roles: [], joined_at: new Date().toISOString(), deaf: false, mute: false, flags: 0 }],
    channels: channels.filter(({ type }) => type === 0).map(channelBody), threads: channels.filter(({ type }) => type === 11).map(channelBody), presences: [],
    stage_instances: [], guild_scheduled_events: [], soundboard_sounds: [], unavailable: false,
  };
}
