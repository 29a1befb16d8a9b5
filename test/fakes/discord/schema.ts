// Checks requests and answers against Discord's official OpenAPI file, as discord-api-spec has it in Zod.
// @ts-expect-error the package has no types for its schemas
import * as spec from 'discord-api-spec/zod';

interface Schema {
  safeParse(value: unknown): { success: boolean; data?: unknown; error?: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } };
}

/** Null when the value is as published, else what is wrong with it. */
export function violation(name: string, value: unknown): string | null {
  const schema = (spec as unknown as Record<string, Schema | undefined>)[`${name}Schema`];
  if (!schema) return `there is no schema ${name}`;
  const result = schema.safeParse(value);
  if (result.success) return null;
  const issues = (result.error?.issues ?? []).slice(0, 4).map(({ path, message }) => `${path.map(String).join('.') || '/'}: ${message}`);
  return `${name}: ${issues.join('; ')}`;
}

/**
 * The published schemas let unknown keys pass, but leave them out of what they parsed: so they can be found.
 *
 * @returns null, or the keys that Discord does not know
 */
export function unknownKeys(name: string, value: unknown): string | null {
  const parsed = (spec as unknown as Record<string, Schema>)[`${name}Schema`]!.safeParse(value).data;
  const unknown = missingKeys(value, parsed, '');
  return unknown.length === 0 ? null : `${name}: unknown ${unknown.join(', ')}`;
}

function missingKeys(given: unknown, parsed: unknown, path: string): string[] {
  if (Array.isArray(given)) return given.flatMap((item, i) => missingKeys(item, (parsed as unknown[] | undefined)?.[i], `${path}/${i}`));
  if (given === null || typeof given !== 'object') return [];
  return Object.entries(given).flatMap(([key, inner]) => {
    const known = parsed !== null && typeof parsed === 'object' && key in parsed;
    return known ? missingKeys(inner, (parsed as Record<string, unknown>)[key], `${path}/${key}`) : inner === undefined ? [] : [`${path}/${key}`];
  });
}

type Body = Record<string, unknown>;

const message = (value: unknown): string | null => violation('MessageResponse', value);
const list = (check: (value: unknown) => string | null) => (values: unknown): string | null => (values as unknown[]).map(check).find((wrong) => wrong !== null) ?? null;

/** What each route answers. */
const answers: Readonly<Record<string, (value: unknown) => string | null>> = {
  'GET /gateway/bot': (value) => violation('GatewayBotResponse', value),
  'GET /users/@me': (value) => violation('UserPIIResponse', value),
  'GET /applications/@me': (value) => violation('PrivateApplicationResponse', value),
  'GET /oauth2/applications/@me': (value) => violation('PrivateApplicationResponse', value),
  'PUT /applications/:id/commands': list((value) => violation('ApplicationCommandResponse', value)),
  'GET /channels/:id': channelViolation,
  'PATCH /channels/:id': channelViolation,
  'POST /channels/:id/messages': message,
  'GET /channels/:id/messages': list(message),
  'GET /channels/:id/messages/:id': message,
  'PATCH /channels/:id/messages/:id': message,
  'POST /interactions/:id/:token/callback': (value) => violation('InteractionCallbackResponse', value),
  'POST /webhooks/:id/:token': message,
  'PATCH /webhooks/:id/:token/messages/@original': message,
  'PATCH /webhooks/:id/:token/messages/:id': message,
};

/** A route that is not in the table is a violation of its own. */
export function answerViolation(route: string, value: unknown): string | null {
  const check = answers[route];
  return check ? check(value) : 'no schema is named for this answer';
}

function channelViolation(value: unknown): string | null {
  const { type } = value as { type: number };
  return violation(type === 1 ? 'PrivateChannelResponse' : type === 11 ? 'ThreadResponse' : 'GuildChannelResponse', value);
}

/** The parts of a gateway event that REST answers have too: users, members, channels, messages, attachments, roles. */
export function eventViolations(event: Body): string[] {
  const { resolved } = (event.data ?? {}) as { resolved?: Record<string, Record<string, unknown>> };
  const parts: (string | null)[] = [
    event.user === undefined ? null : violation('UserResponse', event.user),
    event.message === undefined ? null : message(event.message),
    event.channel === undefined ? null : channelViolation(event.channel),
    ...Object.values(resolved?.attachments ?? {}).map((value) => violation('AttachmentResponse', value)),
    ...Object.values(resolved?.messages ?? {}).map(message),
    ...Object.values(resolved?.users ?? {}).map((value) => violation('UserResponse', value)),
    ...((event.channels ?? []) as Body[]).map((channel) => channelViolation({ ...channel, guild_id: event.id })),
    ...((event.threads ?? []) as Body[]).map((thread) => channelViolation({ ...thread, guild_id: event.id })),
    ...((event.roles ?? []) as Body[]).map((role) => violation('GuildRoleResponse', role)),
  ];
  return parts.filter((wrong) => wrong !== null);
}
