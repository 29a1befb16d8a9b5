// The door of the conversation room: events, answers, rules and commands, the same on every platform.
export { type AnswerEvent, type ComposeOptions, composeAnswer, answerPicture } from './answer.ts';
export type * from './types.ts';
