// Makes bot-api.schema.json from @gramio/types (generated from Telegram's own page). The generator is no
// dependency of the project: install it somewhere else and run this with its folder:
//   npm install --prefix /tmp/schema ts-json-schema-generator@2
//   node test/fakes/telegram/make-schema.mjs /tmp/schema
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

// Results by hand: the functions of the type map are hidden from the generator.
const methods = {
  getMe: 'Objects.TelegramUser', getUpdates: 'Objects.TelegramUpdate[]', setWebhook: 'true', deleteWebhook: 'true',
  sendMessage: 'Objects.TelegramMessage', sendPhoto: 'Objects.TelegramMessage', sendMediaGroup: 'Objects.TelegramMessage[]',
  sendDocument: 'Objects.TelegramMessage', editMessageText: 'Objects.TelegramMessage | true',
  editMessageReplyMarkup: 'Objects.TelegramMessage | true', editMessageMedia: 'Objects.TelegramMessage | true', deleteMessage: 'true', sendChatAction: 'true', sendMessageDraft: 'true',
  answerCallbackQuery: 'true', setMyCommands: 'true', getFile: 'Objects.TelegramFile', getChatAdministrators: 'Objects.TelegramChatMember[]',
};
const withoutParameters = new Set(['getMe']);
const here = import.meta.dirname;
const root = resolve(here, '../../..');
const require = createRequire(join(resolve(process.argv[2] ?? '.'), 'node_modules', 'x.js'));
const { createGenerator } = require('ts-json-schema-generator');

const folder = mkdtempSync(join(root, '.schema-'));
try {
  const file = join(folder, 'root.ts');
  const upper = (name) => name[0].toUpperCase() + name.slice(1);
  const lines = Object.entries(methods).map(([name, result]) => `export type ${upper(name)}Call = ${withoutParameters.has(name) ? '{}' : `Params.${upper(name)}Params`};\nexport type ${upper(name)}Result = ${result};`);
  writeFileSync(file, `import type * as Params from '@gramio/types/params';\nimport type * as Objects from '@gramio/types/objects';\nexport type Update = Objects.TelegramUpdate;\n${lines.join('\n')}\n`);
  const names = ['Update', ...Object.keys(methods).flatMap((name) => [`${upper(name)}Call`, `${upper(name)}Result`])];
  const tsconfig = join(folder, 'tsconfig.json');
  writeFileSync(tsconfig, JSON.stringify({ compilerOptions: { module: 'nodenext', moduleResolution: 'nodenext', strict: true, skipLibCheck: true, types: [] }, files: ['root.ts'] }));
  const generator = createGenerator({ path: file, tsconfig, expose: 'all', functions: 'hide', additionalProperties: false, skipTypeCheck: true, topRef: true });
  const all = {};
  for (const name of names) {
    const schema = generator.createSchema(name);
    Object.assign(all, schema.definitions);
    all[name] ??= { $ref: schema.$ref };
  }
  // Only what the methods reach, without words for people.
  const kept = {};
  const keep = (name) => {
    if (kept[name] || !all[name]) return;
    kept[name] = strip(all[name]);
    for (const match of JSON.stringify(all[name]).matchAll(/"#\/definitions\/([^"]+)"/g)) keep(decodeURIComponent(match[1]));
  };
  const strip = (value) => {
    if (Array.isArray(value)) return value.map(strip);
    if (value === null || typeof value !== 'object') return value;
    // Builder objects of GramIO: they never cross the wire.
    if (value.anyOf) value = { ...value, anyOf: value.anyOf.filter(({ properties }) => !properties?.toJSON && typeof properties?.toString !== 'object') };
    return Object.fromEntries(Object.entries(value).filter(([key, inner]) => !(key === 'description' && typeof inner === 'string')).map(([key, inner]) => [key, strip(inner)]));
  };
  names.forEach(keep);
  writeFileSync(join(here, 'bot-api.schema.json'), `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', version: JSON.parse(readFileSync(join(root, 'node_modules/@gramio/types/package.json'), 'utf8')).version, definitions: kept })}\n`);
  console.log(`${Object.keys(kept).length} definitions`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
