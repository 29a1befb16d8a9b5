// The gate before every train set: of one person's word on one answer it lets through only what people
// have consented to. What is not let through here is never seen by what comes after.
import type { Consent, ConsentPurpose, TurnPart } from '../chat/contracts.ts';
import type { FeedbackRow } from './contracts.ts';
import type { LearningSettings } from './settings.ts';

/** Text or a picture, with whose it is and by which consent it may be used. */
export interface Granted<T> {
  readonly value: T;
  readonly userId: string;
  readonly consentId: string;
}

/** What may be used of one row. */
export interface AllowedFeedback {
  readonly row: FeedbackRow;
  /** The voter's consent to use votes. */
  readonly vote: Granted<true>;
  /** The asker's own words. */
  readonly question: Granted<string> | null;
  /** The asker's own single picture, by the hash of its bytes. */
  readonly picture: Granted<string> | null;
  /** The bot's words; null where they may repeat somebody who has not consented. */
  readonly answer: string | null;
  /** Words that the voter wrote as a correction. */
  readonly correction: Granted<string> | null;
}

/** Names of reasons in the catalogue's `job.leftOut`. */
export type Refusal = 'noConsent' | 'discordVotesOff';

export interface ConsentRules {
  readonly discord: LearningSettings['discord'];
  /** Whether everybody whose words the bot may have read for this answer lets text of this chat be used. */
  allConsent(answerId: string): Promise<boolean>;
  isPrivate(chatId: string): Promise<boolean>;
}

/** A consent of this purpose among those in force; the chat's own before the platform-wide one. */
function consentFor(consents: readonly Consent[], purpose: ConsentPurpose, row: FeedbackRow): Consent | null {
  const fitting = consents.filter((consent) => consent.purpose === purpose && consent.revokedAt === null && consent.platform === row.platform && (consent.chatId === null || consent.chatId === row.chatId));
  return fitting.find(({ chatId }) => chatId !== null) ?? fitting[0] ?? null;
}

function granted<T>(value: T, consent: Consent): Granted<T> {
  return { value, userId: consent.userId, consentId: consent.id };
}

/** What the asker wrote and sent; what was quoted from others is theirs and stays out. */
export function ownParts(parts: readonly TurnPart[]): readonly TurnPart[] {
  // Turns kept before quotations were marked end theirs with a line break; a person's own words never do.
  return parts.filter((part) => part.quoted === undefined && !(part.type === 'text' && part.text.endsWith('\n')));
}

export async function allowFeedback(row: FeedbackRow, rules: ConsentRules): Promise<AllowedFeedback | Refusal> {
  const isDiscord = row.platform === 'discord';
  if (isDiscord && !rules.discord.votes) return 'discordVotesOff';
  const votes = consentFor(row.voterConsents, 'train-votes', row);
  if (votes?.userId !== row.userId) return 'noConsent';
  const bare: AllowedFeedback = { row, vote: granted(true, votes), question: null, picture: null, answer: null, correction: null };
  // Message text of Discord trains nothing, with or without consent.
  if (isDiscord) return bare;

  const asked = consentFor(row.authorConsents, 'train-text', row);
  const mine = asked !== null && asked.userId === row.questionAuthorId ? asked : null;
  const own = ownParts(row.question);
  const words = own.flatMap((part) => (part.type === 'text' ? [part.text.trim()] : [])).filter((text) => text !== '').join(' ');
  const voterText = consentFor(row.voterConsents, 'train-text', row);
  const saidSo = row.corrections.find((correction) => correction.kind === 'it-shows');
  return {
    ...bare,
    question: mine !== null && words !== '' ? granted(words, mine) : null,
    picture: await ownPicture(row, own, rules),
    answer: mine !== null && (await rules.allConsent(row.answerId)) ? answerText(row) : null,
    correction: saidSo !== undefined && saidSo.text.trim() !== '' && voterText?.userId === row.userId ? granted(saidSo.text.trim(), voterText) : null,
  };
}

/** In groups nobody can tell whose picture was sent on, so that only private chats give pictures of people. */
async function ownPicture(row: FeedbackRow, own: readonly TurnPart[], rules: ConsentRules): Promise<Granted<string> | null> {
  const consent = consentFor(row.authorConsents, 'train-pictures', row);
  if (consent === null || consent.userId !== row.questionAuthorId) return null;
  const pictures = row.question.filter((part) => part.type === 'image');
  const [picture] = pictures;
  if (pictures.length !== 1 || picture?.type !== 'image' || picture.hash === '' || picture.pictureId !== undefined || !own.includes(picture)) return null;
  return (await rules.isPrivate(row.chatId)) ? granted(picture.hash, consent) : null;
}

function answerText(row: FeedbackRow): string | null {
  const text = row.answer.flatMap((part) => (part.type === 'text' ? [part.text.trim()] : [])).filter((part) => part !== '').join(' ');
  return text === '' ? null : text;
}
