// What people say in reply to an answer to set it right, in English and Russian. Only whole sentences count,
// so that ordinary talk stays talk.

export type SaidCorrection =
  /** `number`: which of the answer's pictures, from 1. */
  | { readonly kind: 'wrong' | 'right'; readonly number: number | null }
  | { readonly kind: 'shows'; readonly caption: string };

const wrong = /^(?:wrong|not (?:this|that)(?: one| picture)?|не (?:эта|эту|та|ту|то|этот|тот)(?: картинка| картинку)?|неверно|неправильно)(?:[ ,:#№]+(\d{1,2}))?[.!\s]*$/iu;
const right = /^(?:right|(?:this is )?the right (?:one|picture)(?: is)?(?: this)?(?: one| picture)?|верно|правильно|(?:вот )?(?:правильная|верная|нужная)(?: картинка)?(?: вот)?(?: эта)?)(?:[ ,:#№]+(\d{1,2}))?[.!:\s]*$/iu;
const shows = /^(?:(?:it|this|the picture) shows|(?:на (?:этой )?картинке|на ней))(?:[ :]+)(.*\S)\s*$/isu;

/** Null for everything else, questions among it. */
export function correctionInWords(text: string): SaidCorrection | null {
  const said = text.trim();
  const number = (match: RegExpExecArray): number | null => (match[1] === undefined ? null : Number(match[1]));
  const isWrong = wrong.exec(said);
  if (isWrong) return { kind: 'wrong', number: number(isWrong) };
  const isRight = right.exec(said);
  if (isRight) return { kind: 'right', number: number(isRight) };
  const [, caption] = shows.exec(said) ?? [];
  return caption === undefined || caption.endsWith('?') ? null : { kind: 'shows', caption };
}
