// What concerns a person's own data: consent, export, deletion, and the words about it.
import type { ConsentPurpose, OutgoingMessage, User } from './contracts.ts';
import { type Desk, type Scene, sendReply, speak } from './desk.ts';
import { button, sentence } from './reply.ts';

const purposes: Readonly<Record<string, ConsentPurpose>> = { text: 'train-text', pictures: 'train-pictures', votes: 'train-votes' };

type Options = Readonly<Record<string, string>>;

export async function consentCommand(desk: Desk, scene: Scene, options: Options): Promise<OutgoingMessage[]> {
  const { consents } = desk.store;
  const action = options.action ?? 'status';
  const wanted = Object.entries(purposes).filter(([name]) => options.for === undefined || options.for === 'all' || options.for === name);
  const lines: string[] = [];
  if (action === 'give') {
    for (const [name, purpose] of wanted) {
      // Discord's developer policy, rule 21: message content trains no model.
      if (name === 'text' && scene.place.platform === 'discord') lines.push(speak(scene, 'consent.discordText'));
      else await consents.grant(scene.user.id, purpose, scene.chat.id);
    }
    if (lines.length < wanted.length) lines.unshift(speak(scene, 'consent.given'));
  } else if (action === 'withdraw') {
    for (const [, purpose] of wanted) await consents.revoke(scene.user.id, purpose, scene.chat.id);
    lines.push(speak(scene, 'consent.withdrawn'));
  }
  const state: Record<string, string> = {};
  for (const [name, purpose] of Object.entries(purposes)) {
    state[name] = speak(scene, (await consents.active(scene.user.id, purpose, scene.chat.id)) ? 'consent.yes' : 'consent.no');
  }
  lines.push(speak(scene, 'consent.status', { text: state.text ?? '', pictures: state.pictures ?? '', votes: state.votes ?? '' }));
  if (action === 'status') lines.push(speak(scene, 'consent.how'));
  return sendReply(scene, sentence(scene.locale, lines.join('\n'), { quiet: true }));
}

/** The export is made when it is sent: nothing of it lies in the outbox. */
export async function mydataCommand(_desk: Desk, scene: Scene): Promise<OutgoingMessage[]> {
  const hidden = scene.place.isPrivate || ('via' in scene.event && scene.event.via !== undefined);
  if (!hidden) return sendReply(scene, sentence(scene.locale, speak(scene, 'mydata.private')));
  return sendReply(scene, {
    parts: [
      { type: 'text', text: speak(scene, 'mydata.ready') },
      { type: 'file', file: { name: 'fromage-my-data.zip', mimeType: 'application/zip', exportOf: scene.user.id } },
    ],
    buttons: [],
    locale: scene.locale,
    quiet: true,
    complete: true,
  });
}

export async function forgetCommand(_desk: Desk, scene: Scene): Promise<OutgoingMessage[]> {
  const subject = forgetSubject(scene.user);
  const buttons = [button('confirm', subject, scene.locale), button('cancel', subject, scene.locale)];
  return sendReply(scene, sentence(scene.locale, speak(scene, 'forget.ask'), { quiet: true, buttons }));
}

/** Ties the confirmation to the person: only their own click has the same subject. */
export function forgetSubject(user: User): string {
  return `forget-${user.id}`;
}

/** @returns the sentence that reports it */
export async function forgetUser(desk: Desk, scene: Scene): Promise<string> {
  const report = await desk.store.userData.forget(scene.user.id);
  desk.directory.moved();
  if (report.pictureIds.length > 0) {
    await desk.services.galleryAdmin?.remove({ ids: report.pictureIds, tenants: scene.filter.tenants, deny: false });
  }
  const lines = [speak(scene, 'forget.done', { turns: report.turns + report.answers, files: report.files, votes: report.votes })];
  if (report.adapters.length > 0) lines.push(speak(scene, 'forget.adapters', { adapters: report.adapters.join(', ') }));
  return lines.join('\n');
}
