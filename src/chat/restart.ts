// What people are told when the process ends before their answer is there, and what becomes of that
// notice afterwards: the answer takes its place.
import type { OutgoingMessage } from './contracts.ts';
import { type Desk, makeScene, removeRow, type Scene, sendReply, speak, targetOf } from './desk.ts';
import { previewSuffix } from './delivery.ts';
import { refusal } from './gate.ts';
import { sentence } from './reply.ts';
import type { ChatEvent } from './types.ts';

const noticeMs = 2_000;

/** Somebody whose answer was being made. The notice takes the place of what was shown of it. */
export async function tellRestart(desk: Desk, scene: Scene, signal: AbortSignal = AbortSignal.timeout(noticeMs)): Promise<void> {
  const { event, delivery } = scene;
  if (event.type !== 'message' && event.type !== 'edit' && event.type !== 'command') return;
  const reply = sentence(scene.locale, speak(scene, 'busy.restarting'));
  const key = `${scene.key}${previewSuffix}`;
  const shown = await desk.store.outbox.find(key);
  const [unit] = scene.platform.render(reply);
  if (shown?.state === 'sent' && shown.messageIds[0] !== undefined && unit) {
    await scene.platform.edit(targetOf(scene), shown.messageIds[0], unit, async () => null).catch(() => {});
    return;
  }
  const [row] = sendReply(scene, reply, event.type !== 'edit' && event.messageId !== undefined ? { replyTo: event.messageId } : {});
  if (!row || signal.aborted) return;
  const { sent } = await delivery.deliverNow({ ...row, key }, signal);
  // The next process shall not begin with notices of a restart that is over.
  if (!sent) await desk.store.outbox.cancel(key);
}

/**
 * Everybody whose message waits behind another one: once per person and conversation, and for each
 * interaction, which shows "thinking" of its own. Who cannot be told before the signal, because the platform
 * takes only so many messages a second, is not told: the end does not wait for the limits.
 *
 * @param knowing event ids of those who were told already
 */
export async function tellWaiting(desk: Desk, knowing: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  const told = new Set<string>();
  const notices: Promise<void>[] = [];
  for (const platform of desk.platforms.keys()) {
    for (const { payload } of await desk.store.inbox.waiting(platform, { limit: 200 })) {
      const event = payload as unknown as ChatEvent;
      const who = `${event.place.key} ${event.author.id}`;
      if ((event.type !== 'message' && event.type !== 'command')) continue;
      if (event.type === 'message' && event.addressed === 'none') continue;
      const again = told.has(who) && event.via === undefined;
      told.add(who);
      if (!again && !knowing.has(event.id)) notices.push(tellOne(desk, event, signal));
    }
  }
  const failed = (await Promise.allSettled(notices)).filter(({ status }) => status === 'rejected').length;
  if (notices.length > 0) desk.log.info({ count: notices.length, failed }, 'people who wait were told of the restart');
}

async function tellOne(desk: Desk, event: ChatEvent, signal: AbortSignal): Promise<void> {
  const scene = await makeScene(desk, event, 1);
  if ((await refusal(desk, scene, { count: false })) === null) await tellRestart(desk, scene, signal);
}

/** Takes the notice of an earlier process away where nothing else takes its place. */
export async function withoutNotice(scene: Scene, outgoing: readonly OutgoingMessage[]): Promise<readonly OutgoingMessage[]> {
  const { event } = scene;
  // The answer to an interaction stands where "thinking" and the notice stood.
  if (event.type === 'command' && event.via !== undefined && event.via.expiresAt > Date.now()) return outgoing;
  const [notice] = await scene.delivery.previousSend(`${scene.key}${previewSuffix}`, AbortSignal.timeout(noticeMs));
  if (notice === undefined || outgoing.some(({ payload }) => (payload as { messageId?: string }).messageId === notice)) return outgoing;
  return [removeRow(scene, `${scene.key}:notice`, notice), ...outgoing];
}
