// Who may ask now: bans, the chat's rule, and the limits per person and per chat. Limits are windows of
// one minute; operators are held to none.
import type { JsonValue } from './contracts.ts';
import type { Desk, Scene } from './desk.ts';
import { speak } from './desk.ts';

export const defaultLimits = { user: 20, chat: 60 } as const;
export type LimitName = keyof typeof defaultLimits;

/** Messages a minute, as an operator set them. */
export async function readLimits(desk: Desk): Promise<Record<LimitName, number>> {
  const kept = await desk.directory.scope('global');
  const read = (name: LimitName): number => (isLimit(kept[`limit.${name}`]) ? (kept[`limit.${name}`] as number) : defaultLimits[name]);
  return { user: read('user'), chat: read('chat') };
}

export function isLimit(value: JsonValue | undefined): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 10_000;
}

/** Null when it may go on, else the sentence that refuses. */
export async function refusal(desk: Desk, scene: Scene, options: { readonly count: boolean }): Promise<string | null> {
  const { standing, settings, user, chat, attempt } = scene;
  if (standing.operator) return null;
  if (await desk.store.bans.active(user.id, chat.id)) return speak(scene, 'refuse.banned');
  if (settings.who === 'admins' && !standing.chatAdmin) return speak(scene, 'refuse.who');
  // A message that is worked off again was counted the first time.
  if (!options.count || attempt > 1) return null;
  const limits = await readLimits(desk);
  const windowMs = 60_000;
  const mine = await desk.store.limits.take(`user:${user.id}:message`, { max: limits.user, windowMs });
  if (!mine.allowed) return speak(scene, 'busy.limitUser', { seconds: Math.ceil(mine.retryInMs / 1000) });
  const ours = await desk.store.limits.take(`chat:${chat.id}:message`, { max: limits.chat, windowMs });
  return ours.allowed ? null : speak(scene, 'busy.limitChat', { seconds: Math.ceil(ours.retryInMs / 1000) });
}
