// Discord: a forward and what is said about it are two messages; the first does not name the bot.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { FakeDiscord } from '../fakes/discord/server.ts';
import type { FakeChannel, FakeUser } from '../fakes/discord/world.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, type Stage } from './stages.ts';

let stage: (Stage & { fake: FakeDiscord }) | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

/** Somebody forwards a picture with words and then speaks to the bot. @returns what the engine was asked */
async function forwardAndAsk(messageContent: boolean, channelOf: (fake: FakeDiscord, me: FakeUser) => FakeChannel): Promise<unknown> {
  stage = await openDiscord({ messageContent, bot: { times: { albumQuietMs: 1_000, albumMaxMs: 2_000 } } });
  const { fake } = stage;
  const [me, other] = [fake.world.user('700000000000007001'), fake.world.user('700000000000007002')];
  const original = fake.say(fake.guildWithChannel([]), other, 'seen yesterday', { pictures: [colourPng(3)] });
  const channel = channelOf(fake, me);
  fake.say(channel, me, '', { forward: original });
  const asked = fake.say(channel, me, 'what is that?', { mentionBot: channel.guildId !== null });
  await until('the answer', () => fake.world.said(channel).some(({ components }) => components.length > 0));
  const { requests } = stage.bench.engine;
  expect(requests).toHaveLength(1);
  expect(fake.world.said(channel)[0]?.reference?.messageId).toBe(asked.id);
  const { prompt } = requests[0]!;
  return prompt.kind === 'turns' && prompt.turns.map(({ parts }) => parts.map((part) => (part.type === 'text' ? part.text : part.type)));
}

describe('a forward and the question about it right after', () => {
  test('are one turn in a server, where the intent for message content is on', async () => {
    expect(await forwardAndAsk(true, (fake) => fake.guildWithChannel([]))).toEqual([['image', 'seen yesterday\n', 'what is that?']]);
  });

  test('are one turn in direct messages', async () => {
    expect(await forwardAndAsk(false, (fake, me) => fake.world.direct(me))).toEqual([['image', 'seen yesterday\n', 'what is that?']]);
  });

  test('without the intent Discord hides the forward: the question is answered alone', async () => {
    expect(await forwardAndAsk(false, (fake) => fake.guildWithChannel([]))).toEqual([['what is that?']]);
  });
});

test('a forward that nobody speaks of is not answered and not kept', async () => {
  stage = await openDiscord({ messageContent: true });
  const { fake } = stage;
  const [me, other] = [fake.world.user('700000000000007001'), fake.world.user('700000000000007002')];
  const channel = fake.guildWithChannel([]);
  fake.say(channel, me, '', { forward: fake.say(fake.guildWithChannel([]), other, 'none of your business') });
  fake.say(channel, other, 'hello', { mentionBot: true });
  await until('the answer', () => fake.world.said(channel).some(({ components }) => components.length > 0));
  expect(JSON.stringify(stage.bench.engine.requests.map(({ prompt }) => prompt))).not.toContain('business');
  expect(await stage.bench.store.inbox.stats()).toMatchObject({ pending: 0 });
});
