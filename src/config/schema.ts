// One schema for everything the environment may say. Rooms get plain option objects made from it; they
// never read `process.env` themselves.
import { z } from 'zod';

const flag = z
  .enum(['0', '1', 'true', 'false', ''])
  .transform((value) => value === '1' || value === 'true');

const list = z.string().transform((value) => value.split(',').map((item) => item.trim()).filter((item) => item !== ''));

const positiveInt = z.coerce.number().int().positive();

/** A secret: never printed by `describeConfig`, readable from a file through `<NAME>_FILE`. */
const secret = z.string().min(1).meta({ secret: true });

/** `discord:1` or `telegram:2`. */
const adminId = /^(discord|telegram):\d+$/;

export const environmentSchema = z.object({
  PORT: z.coerce.number().int().min(0).max(65535).default(8080).describe('port of the page and the HTTP API; 0 takes any free one'),
  FROMAGE_HOST: z.string().min(1).default('127.0.0.1').describe('address to listen on; anything but loopback needs FROMAGE_API_KEY'),
  FROMAGE_API_KEY: secret.min(16, 'must have at least 16 characters').optional().describe('key that API clients send as "Authorization: Bearer …"'),
  FROMAGE_ALLOWED_HOSTS: list.default([]).describe('further Host names (host or host:port) that browsers may use, comma-separated'),
  FROMAGE_MODEL: z.string().min(1).default('starter').describe('preset (starter, fromage, fromage-vis4) or a model folder'),
  FROMAGE_LM: z.string().min(1).optional().describe('another language model of the supported families: folder or hub id'),
  FROMAGE_VISION: z.string().min(1).optional().describe('another visual encoder: folder, file or hub id'),
  FROMAGE_ADAPTER: z.string().min(1).optional().describe('another adapter folder'),
  FROMAGE_WEIGHTS: z.enum(['auto', 'fp32', 'q8', 'q4']).default('auto').describe('precision of the language model’s weights'),
  FROMAGE_DEVICE: z.enum(['auto', 'cpu', 'cuda', 'webgpu']).default('auto').describe('where the model runs'),
  FROMAGE_THREADS: positiveInt.optional().describe('threads of the model; the machine’s cores by default'),
  FROMAGE_DATA_DIR: z.string().min(1).default('.fromage').describe('folder under which everything that is written lies'),
  FROMAGE_OFFLINE: flag.default(false).describe('1: never ask the hub'),
  FROMAGE_GALLERY: z.string().optional().describe('folder of pictures to show beside the starter gallery'),
  FROMAGE_QUEUE: positiveInt.default(64).describe('requests that may wait before "busy" is said'),
  FROMAGE_BATCH: positiveInt.max(64).default(8).describe('conversations that generate at the same time'),
  FROMAGE_PROMPT_STYLE: z.enum(['qa', 'chat', 'plain']).optional().describe('how turns are laid out; the model’s own by default'),
  FROMAGE_LOG: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info').describe('how much is logged'),
  FROMAGE_ADMINS: list
    .refine((ids) => ids.every((id) => adminId.test(id)), 'must be a list like discord:1,telegram:2')
    .default([])
    .describe('who may use the admin commands: discord:1,telegram:2'),
  FROMAGE_LEARN_DISCORD: list
    .refine((items) => items.every((item) => item === 'captions' || item === 'votes'), 'must be captions, votes, or both: captions,votes')
    .default([])
    .describe('what of consenting Discord users may enter train sets: captions (of /learn), votes; nothing by default because of Discord’s policy'),
  DISCORD_TOKEN: secret.optional().describe('bot token; without it Discord is not connected'),
  DISCORD_API_BASE: z.url().default('https://discord.com/api').describe('REST base without version'),
  DISCORD_CDN_HOSTS: list.default(['cdn.discordapp.com', 'media.discordapp.net']).describe('hosts pictures may come from; a leading http:// allows plain HTTP'),
  DISCORD_MESSAGE_CONTENT: flag.default(false).describe('1: ask for the message content intent'),
  TELEGRAM_TOKEN: secret.optional().describe('bot token; without it Telegram is not connected'),
  TELEGRAM_API_ROOT: z.url().default('https://api.telegram.org').describe('Bot API root'),
  TELEGRAM_MODE: z.enum(['polling', 'webhook']).default('polling').describe('how updates come'),
  TELEGRAM_WEBHOOK_URL: z.url().optional().describe('public https address of the webhook'),
  TELEGRAM_WEBHOOK_SECRET: secret
    .regex(/^[A-Za-z0-9_-]{1,256}$/, 'must be 1 to 256 of A–Z a–z 0–9 _ -')
    .optional()
    .describe('secret that Telegram sends back with each webhook call'),
  DATABASE_URL: secret.optional().describe('postgresql://… ; SQLite under FROMAGE_DATA_DIR by default'),
  QDRANT_URL: z.url().optional().describe('Qdrant server; the embedded index by default'),
  QDRANT_API_KEY: secret.optional().describe('key for Qdrant'),
  HF_TOKEN: secret.optional().describe('token for gated models of the Hugging Face hub'),
  HF_ENDPOINT: z.url().optional().describe('another hub'),
  HF_HOME: z.string().optional().describe('folder of Hugging Face’s libraries; ~/.cache/huggingface by default'),
  HF_HUB_CACHE: z.string().optional().describe('cache of the hub; the folder hub in HF_HOME by default'),
  HF_HUB_OFFLINE: z.string().optional().describe('1: the same as FROMAGE_OFFLINE, for all of the hub’s tools'),
});

export type Environment = z.output<typeof environmentSchema>;
export type EnvironmentName = keyof Environment;
