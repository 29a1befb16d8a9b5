// What people do on the loopback Discord while another client is connected, and what must be seen of it.
import { colourPng } from '../bots/pictures.ts';
import { FakeDiscord } from '../fakes/discord/server.ts';
import { pause, type SecondClient } from './second-client.ts';

type Open = (env: Readonly<Record<string, string>>) => SecondClient;

export async function playDiscord(open: Open): Promise<SecondClient> {
  const fake = new FakeDiscord();
  await fake.start();
  const { world } = fake;
  const me = world.user('700000000000000001');
  const guild = world.guild([me]);
  const channel = world.channel(guild);
  const client = open({ API_BASE: `${fake.url}/api/v10`, GATEWAY: `${fake.url.replace('http', 'ws')}/gateway`, TOKEN: fake.token, CHANNEL: channel.id });
  try {
    for (const what of ['a wrong token is refused', 'identify, READY and the guild', 'commands registered', '2,001 characters are refused', 'eleven files are refused', 'an unknown channel is 404']) await client.heard(what);

    const asked = fake.say(channel, me, 'hello', { mentionBot: true, pictures: [colourPng(5)] });
    await client.heard(`a mention with a picture of ${colourPng(5).length} bytes`);
    await client.heard('a reply with a picture, alt text and buttons');
    await client.heard('an edit that takes the picture away');
    await client.heard('the message asked for again, and the history');
    const [said] = world.said(channel);
    await client.seen('the reply names its question', () => said?.reference?.messageId === asked.id);
    if (said) {
      const custom = (said.components[0]?.components as { custom_id: string }[] | undefined)?.[0]?.custom_id ?? '';
      fake.click(said, me, custom);
      await client.heard('a click that changes its message');
      await client.seen('the message was changed', () => said.content === 'pressed');
    }
    fake.react(asked, me, '👍');
    await client.heard('a reaction');
    fake.edit(asked, 'hello again');
    await client.heard('an edited message');

    const direct = world.direct(me);
    const forwarded = fake.say(channel, me, 'words to pass on', { mentionBot: true, pictures: [colourPng(2)] });
    fake.say(direct, me, '', { forward: forwarded });
    await client.heard('a forwarded message in private');

    fake.slash(channel, me, 'ask', { text: 'quickly', picture: colourPng(3) });
    await client.heard('a command with a picture: deferred, edited, followed up');
    fake.slash(channel, me, 'ask', { text: 'hidden' });
    await client.heard('an immediate answer for one person');
    const suggestion = fake.autocomplete(channel, me, 'ask', [{ name: 'text', type: 3, value: 'ab', focused: true }]);
    await client.heard('autocomplete');
    await client.seen('its choices arrived', () => suggestion.said?.includes('ab!') === true);
    fake.menu(asked, me, 'Ask about this image');
    await client.heard('the message menu');
    fake.slash(channel, me, 'ask', { text: 'twice' });
    await client.heard('a second first answer is refused with 40060');
    fake.slash(channel, me, 'ask', { text: 'late' });
    await client.heard('an answer after three seconds is refused with 10062', 30_000);

    await client.heard('heartbeats are acknowledged', 60_000);
    fake.gateway.drop();
    await pause(50);
    fake.say(channel, me, 'said while away', { mentionBot: true });
    await client.heard('a broken connection resumes and brings what was missed', 60_000);
    fake.gateway.reconnect();
    await client.heard('opcode 7 resumes', 60_000);
    fake.say(channel, me, 'many', { mentionBot: true });
    await client.heard('eight messages at once, through the rate limit', 60_000);
    await client.seen('they came in order', () => world.said(channel).filter(({ content }) => /^number \d$/.test(content)).map(({ content }) => content).join() === Array.from({ length: 8 }, (_, i) => `number ${i}`).join());
    fake.gateway.invalidate();
    await client.heard('opcode 9 leads to a fresh session', 60_000);
    const wrong = fake.violations.filter((line) => !/content|too many|MessageCreateRequest: attachments/.test(line));
    for (const line of wrong) client.fail(`schema: ${line}`);
    if (wrong.length === 0) client.pass('calls, answers and events are as published');
  } finally {
    client.end();
    await fake.stop();
  }
  return client;
}
