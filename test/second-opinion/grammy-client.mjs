// grammY against the loopback Telegram; started by run.ts with the folder that grammY was installed in.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.argv[2], 'node_modules', 'x.js'));
const { Bot, InlineKeyboard, InputFile, InputMediaBuilder } = require('grammy');
const { API_ROOT: apiRoot, TOKEN: token, BLOCKED, MIGRATED, MIGRATED_TO } = process.env;
const ok = (what) => console.log(`ok ${what}`);
const check = async (what, action) => {
  try {
    const right = await action();
    console.log(right === false ? `bad ${what}: not what was expected` : `ok ${what}`);
  } catch (error) {
    console.log(`bad ${what}: ${String(error.message ?? error).replaceAll('\n', ' ')}`);
  }
};
/** The error that a call ends in. */
const refusal = async (call) => {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
};

const bot = new Bot(token, { client: { apiRoot } });
const { api } = bot;
await check('getMe', async () => (await api.getMe()).is_bot);
await check('a wrong token is 401', async () => (await refusal(new Bot('1:wrong', { client: { apiRoot } }).api.getMe())).error_code === 401);
await check('setMyCommands', () => api.setMyCommands([{ command: 'admins', description: 'who' }], { scope: { type: 'all_group_chats' }, language_code: 'en' }));
await check('409 while a webhook is set', async () => {
  await api.setWebhook('https://bot.example/hook', { secret_token: 'abc' });
  const { error_code: code } = await refusal(api.getUpdates());
  await api.deleteWebhook();
  return code === 409;
});
await check('a person who blocked the bot is 403', async () => (await refusal(api.sendMessage(Number(BLOCKED), 'hi'))).error_code === 403);
await check('a group that moved tells its new id', async () => (await refusal(api.sendMessage(Number(MIGRATED), 'hi'))).parameters.migrate_to_chat_id === Number(MIGRATED_TO));
await check('4,097 characters are refused', async () => /too long/.test((await refusal(api.sendMessage(90, 'x'.repeat(4097)))).description));
await check('an album of one is refused', async () => (await refusal(api.sendMediaGroup(91, [InputMediaBuilder.photo(new InputFile(Buffer.from('x'), 'x.png'))]))).error_code === 400);
await check('429 tells when to try again', async () => {
  await api.sendMessage(92, 'one');
  const { error_code: code, parameters } = await refusal(api.sendMessage(92, 'two'));
  return code === 429 && parameters.retry_after >= 1;
});

const fetched = async (ctx) => {
  const { file_path: path } = await ctx.getFile();
  return Buffer.from(await (await fetch(`${apiRoot}/file/bot${token}/${path}`)).arrayBuffer());
};
const albums = new Map();
bot.on('message:photo', async (ctx) => {
  const bytes = await fetched(ctx);
  const { media_group_id: id, message_id: messageId } = ctx.message;
  if (id === undefined) {
    ok(`a photo of ${bytes.length} bytes was fetched`);
    await ctx.replyWithPhoto(new InputFile(bytes, 'a.png'), { caption: 'a picture', reply_parameters: { message_id: messageId } });
    return;
  }
  const all = [...(albums.get(id) ?? []), bytes];
  albums.set(id, all);
  if (all.length < 2) return;
  ok('an album of two');
  await ctx.replyWithMediaGroup(all.map((one, i) => InputMediaBuilder.photo(new InputFile(one, `${i}.png`))), { reply_parameters: { message_id: messageId } });
});
bot.command('admins', async (ctx) => {
  await check('a command in a topic, and the administrators', async () => (await ctx.getChatAdministrators()).length === 1 && ctx.msg.is_topic_message);
  await ctx.reply('here', { message_thread_id: ctx.msg.message_thread_id });
});
bot.on('message:text', async (ctx) => {
  if (ctx.message.text === 'hello') {
    ok('a text message');
    await ctx.reply('answer', { reply_parameters: { message_id: ctx.message.message_id }, reply_markup: new InlineKeyboard().text('press', 'data-1') });
  } else {
    await check('a document, typing and a deletion', async () => {
      await ctx.replyWithChatAction('typing');
      const sent = await ctx.replyWithDocument(new InputFile(Buffer.from('{}'), 'data.json'));
      return ctx.api.deleteMessage(ctx.chat.id, sent.message_id);
    });
  }
});
bot.on('callback_query:data', async (ctx) => {
  await check('a click, its answer and an edit', async () => {
    await ctx.answerCallbackQuery({ text: 'noted' });
    await new Promise((done) => setTimeout(done, 1_100));
    return (await ctx.editMessageText('edited')).text === 'edited';
  });
  await check('an edit that changes nothing is refused', async () => /not modified/.test((await refusal(ctx.editMessageText('edited'))).description));
});
bot.on('edited_message:text', () => ok('an edited message'));
bot.on('message_reaction', (ctx) => (ctx.reactions().emojiAdded[0] === '👍' ? ok('a reaction') : undefined));
bot.catch(({ error }) => console.log(`bad handler: ${error}`));
await bot.start({ allowed_updates: ['message', 'edited_message', 'callback_query', 'message_reaction'] });
