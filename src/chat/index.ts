// The door of the conversation room: events, answers, rules and commands, the same on every platform.
export { type AnswerEvent, type ComposeOptions, answerPicture, composeAnswer } from './answer.ts';
export { type BotOptions, ChatBot, messageEventId } from './bot.ts';
export { type CommandOption, type CommandSpec, type Permission, commandTable, findCommand, mayUse, parseOptions } from './commands.ts';
export { type BotTimes, defaultTimes, tenantsOf } from './desk.ts';
export { clickAcknowledgement } from './handle-feedback.ts';
export { chooseLocale, locales, type MessageKey, type Phrase, say, sayAll } from './i18n/index.ts';
export { type AllowedHost, type DownloadOptions, downloadPicture, isAllowedUrl, parseAllowedHost, type Sanitize, type SanitizedPicture } from './intake.ts';
export { type BytesOf, type ChatPlatform, DeliveryError, type OutUnit, type SendTarget, type StreamRule } from './platform.ts';
export { asksForAnother, buildPrompt, type PictureBytes, pictureQuestion, type PromptOptions, showRequest } from './prompt.ts';
export { creditLine } from './reply.ts';
export type { AdapterVersion, AdapterVersions, ChatServices, FeedbackListener, GalleryAdmin, JobStatus, LearnRequest, TrainingJobs } from './services.ts';
export { type ChatSettings, defaultSettings, describeRule, isSettingName, parseSetting, readSettings, settingNames, settingRules } from './settings.ts';
export { findFences, splitText, type SplitOptions, type TextPiece } from './split.ts';
export type * from './types.ts';
