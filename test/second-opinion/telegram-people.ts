// What people do on the loopback Telegram while another client is connected, and what must be seen of it.
import { FakeTelegram } from '../fakes/telegram/server.ts';
import { colourPng } from '../bots/pictures.ts';
import type { SecondClient } from './second-client.ts';

type Open = (env: Readonly<Record<string, string>>) => SecondClient;

export async function playTelegram(open: Open): Promise<SecondClient> {
  const fake = new FakeTelegram();
  await fake.start();
  const { world } = fake;
  const client = open({ API_ROOT: fake.url, TOKEN: fake.token, BLOCKED: '70', MIGRATED: '-71', MIGRATED_TO: '-1000071' });
  world.blocked.add(70);
  world.migrated.set(-71, -1_000_071);
  let next = 100;
  const someone = () => {
    const user = world.user(next++);
    return { user, chat: world.privateChat(user) };
  };
  try {
    for (const what of ['getMe', 'a wrong token is 401', 'setMyCommands', '409 while a webhook is set', 'a person who blocked the bot is 403', 'a group that moved tells its new id', '4,097 characters are refused', 'an album of one is refused', '429 tells when to try again']) await client.heard(what);

    const talk = someone();
    const asked = world.say(talk.chat, talk.user, 'hello');
    await client.heard('a text message');
    await client.seen('its answer is a reply with a button', () => world.said(talk.chat)[0]?.reply_to_message?.message_id === asked.message_id && world.said(talk.chat)[0]?.reply_markup !== undefined);
    const [said] = world.said(talk.chat);
    if (!said) throw new Error('without an answer nothing more can be asked');
    const click = world.click(said, talk.user, said.reply_markup?.inline_keyboard[0]?.[0]?.callback_data ?? '');
    await client.heard('a click, its answer and an edit');
    await client.heard('an edit that changes nothing is refused');
    await client.seen('the click was answered and the text edited', () => world.clicks.get(click)?.text === 'noted' && said.text === 'edited');
    world.edit(asked, 'hello again');
    await client.heard('an edited message');

    const picture = someone();
    const photo = world.say(picture.chat, picture.user, 'what is it?', { photo: colourPng(5) });
    await client.heard(`a photo of ${colourPng(5).length} bytes was fetched`);
    await client.seen('an uploaded photo with a caption, as a reply', () => world.said(picture.chat).some((one) => one.photo !== undefined && one.caption === 'a picture' && one.reply_to_message?.message_id === photo.message_id));
    await client.seen('it has the bytes that were sent', () => [...world.files.values()].filter(({ bytes }) => Buffer.from(bytes).equals(Buffer.from(colourPng(5)))).length >= 4);

    const album = someone();
    world.album(album.chat, album.user, 'two of them', [colourPng(1), colourPng(2)]);
    await client.heard('an album of two');
    await client.seen('an uploaded album of two', () => world.said(album.chat).length === 2 && new Set(world.said(album.chat).map(({ media_group_id: id }) => id)).size === 1 && world.said(album.chat)[0]?.media_group_id !== undefined);

    const group = world.group(-500, [talk.user]);
    world.say(group, talk.user, '/admins@fromage_test_bot', { topic: 7 });
    await client.heard('a command in a topic, and the administrators');
    await client.seen('the answer is in the topic', () => world.said(group)[0]?.message_thread_id === 7);
    world.react(said, talk.user, '👍');
    await client.heard('a reaction');
    const file = someone();
    world.say(file.chat, file.user, 'a file please');
    await client.heard('a document, typing and a deletion');
    await client.seen('the document is gone again', () => fake.called('sendDocument').some(({ status }) => status === 200) && world.said(file.chat).length === 0);
    const wrong = fake.violations;
    for (const line of wrong) client.fail(`schema: ${line}`);
    if (wrong.length === 0) client.pass('calls, answers and updates are as published');
  } finally {
    client.end();
    await fake.stop();
  }
  return client;
}
