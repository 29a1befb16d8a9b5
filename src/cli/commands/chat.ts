// `fromage chat`: a conversation in the terminal.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { openEngine, openSessionGallery } from '../../app/index.ts';
import { composeAnswer } from '../../chat/index.ts';
import type { PromptSegment, PromptTurn } from '../../engine/types.ts';
import { asFromageError } from '../../errors.ts';
import { configuration } from '../configuration.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

const help = 'Commands: /image FILE adds a picture to your next message, /show TEXT asks for a picture, /reset forgets, /quit ends. Ctrl-C stops an answer.\n';

interface ChatOptions extends Record<string, unknown> {
  readonly temperature: string;
  readonly seed?: string;
}

export async function chat(options: ChatOptions): Promise<void> {
  const config = configuration(options);
  const temperature = number('--temperature', options.temperature);
  const engine = await openEngine(config);
  process.stdout.write('loading the model …\n');
  const info = await engine.ready();
  const bar = createProgress('encoding the gallery', 'pictures');
  const gallery = await openSessionGallery(config, engine, (done, total) => bar.update(done, total));
  bar.end();
  process.stdout.write(`${info.model} (${info.weights}, ${info.device}). ${help}`);
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ', terminal: process.stdin.isTTY });
  let turns: PromptTurn[] = [];
  let pending: PromptSegment[] = [];
  let shown = new Set<string>();
  let running: AbortController | null = null;
  lines.on('SIGINT', () => (running ? running.abort() : lines.close()));
  lines.prompt();
  for await (const line of lines) {
    const [word = '', ...rest] = line.trim().split(' ');
    const argument = rest.join(' ');
    if (word === '/quit') break;
    if (word === '/help') process.stdout.write(help);
    else if (word === '/reset') {
      turns = [];
      pending = [];
      shown = new Set();
      process.stdout.write('forgotten\n');
    } else if (word === '/image') {
      try {
        pending.push({ type: 'image', image: { bytes: new Uint8Array(await readFile(argument)) } });
        process.stdout.write('picture added; now ask about it\n');
      } catch (error) {
        process.stdout.write(`that picture cannot be read: ${(error as Error).message}\n`);
      }
    } else if (line.trim() !== '') {
      const show = word === '/show';
      const text = show ? `Show me ${argument}` : line.trim();
      turns.push({ role: 'user', parts: [...pending, { type: 'text', text }] });
      pending = [];
      running = new AbortController();
      turns.push({ role: 'assistant', parts: await answer(show, running.signal) });
      running = null;
    }
    lines.prompt();
  }
  lines.close();
  await gallery.close();
  await engine.close();

  async function answer(forceRet: boolean, signal: AbortSignal): Promise<PromptSegment[]> {
    const parts: PromptSegment[] = [];
    try {
      const events = composeAnswer({
        engine,
        gallery: gallery.gallery,
        filter: { tenants: ['all'] },
        exclude: shown,
        request: { prompt: { kind: 'turns', turns }, decoding: { maxNewTokens: 128, temperature, ...(forceRet ? { forceRet } : {}) }, conversation: 'terminal', signal, ...(options.seed ? { seed: number('--seed', options.seed) } : {}) },
      });
      for await (const event of events) {
        if (event.type === 'text') {
          process.stdout.write(event.text);
          parts.push({ type: 'text', text: event.text });
        } else if (event.type === 'pictures') {
          for (const picture of event.pictures) {
            // The picture stands behind its [RET], as in the authors' dialogues.
            const bytes = await gallery.gallery.bytes(picture.id, { tenants: ['all'] });
            parts.push({ type: 'text', text: ' [RET]', trusted: true }, ...(bytes ? [{ type: 'image' as const, image: { bytes } }] : []));
            shown.add(picture.id);
            process.stdout.write(`[picture: ${picture.alt} · ${picture.source ?? ''} · score ${picture.score.toFixed(3)}]`);
          }
        } else if (event.type === 'no_picture') process.stdout.write('[I have no picture of that]');
      }
    } catch (thrown) {
      const error = asFromageError(thrown);
      process.stdout.write(`(${error.userMessage ?? error.what})`);
    }
    process.stdout.write('\n');
    return parts.length > 0 ? parts : [{ type: 'text', text: '…' }];
  }
}
