import { expect, test } from '@jest/globals';
import { startTelegram } from '../../bots/telegram/main.ts';
import { FakeTelegram } from '../fakes/telegram/server.ts';
import { openBench, until } from './bench.ts';
import { colourPng } from './pictures.ts';

test('smoke', async () => {
  const bench = await openBench();
  const fake = new FakeTelegram({ secondMs: 50 });
  await fake.start();
  const bot = bench.newBot();
  const running = await startTelegram({ token: fake.token, apiRoot: fake.url, rates: { secondMs: 50, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 } }, bot);
  const user = fake.world.user(7);
  const chat = fake.world.privateChat(user);
  const asked = fake.world.say(chat, user, 'What is this?', { photo: colourPng(3) });
  const first = await until('an answer', () => fake.world.said(chat).find((message) => message.reply_markup)).finally(() => console.log(fake.calls.map((c) => [c.method, c.status, c.description, JSON.stringify(c.payload).slice(0, 200)]), fake.violations, bench.logged.join('')));
  expect(first.reply_to_message?.message_id).toBe(asked.message_id);
  fake.world.say(chat, user, '/show a dog');
  await until('a picture', () => fake.world.said(chat).find((message) => message.photo));
  expect(fake.violations).toEqual([]);
  await running.stop();
  await bot.stop(1000);
  await fake.stop();
  await bench.close();
});
