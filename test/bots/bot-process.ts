// A bot in a process of its own, to be killed: `node bot-process.ts <platform> <server> <token> <folder> <delayMs>`.
import { startDiscord } from '../../bots/discord/main.ts';
import { startTelegram } from '../../bots/telegram/main.ts';
import { openBench } from './bench.ts';

const [platform = '', server = '', token = '', folder = '', delayMs = '0'] = process.argv.slice(2);
const secondMs = 40;
const bench = await openBench(3, folder);
bench.engine.delayMs = Number(delayMs);
const bot = bench.newBot({ times: { leaseMs: 1_500 } });
const running = platform === 'discord'
  ? await startDiscord({ token, apiBase: `${server}/api`, cdnHosts: [server], secondMs }, bot)
  : await startTelegram({ token, apiRoot: server, rates: { secondMs, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 } }, bot);
process.on('SIGTERM', async () => {
  await running.stop();
  await bot.stop(300);
  if ('close' in running) await running.close();
  await bench.close();
  process.exit(0);
});
process.stdout.write('ready\n');
