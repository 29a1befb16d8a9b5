// Commands whose work is done by other rooms: training jobs, adapters, the gallery's administration. Here
// small ones stand in for them, so that their progress and refusals can be made at will.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { AdapterVersion, ChatServices, JobStatus, LearnRequest } from '../../src/chat/index.ts';
import { FromageError } from '../../src/errors.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, openTelegram, type Room, type Stage, type StageOptions } from './stages.ts';

let stage: Stage | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

const said = (room: Room, pattern: RegExp) => until(`a sentence like ${pattern}`, () => stage!.said(room).find(({ text }) => pattern.test(text))).catch((error: unknown) => {
  throw new Error(`${(error as Error).message}; said ${JSON.stringify(stage!.said(room).map(({ text }) => text))}`);
});

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (name, open: (options: StageOptions) => Promise<Stage>) => {
  const operators = ['telegram:1', `discord:${700_000_000_000_000_001n}`];
  const job = (state: JobStatus['state'], progress: number, summary: string): JobStatus => ({ id: 'run-1', state, startedAt: 0, endedAt: null, progress, examples: 60, summary });

  test('/retrain start: progress edits one message, to the verdict', async () => {
    let tell: (status: JobStatus) => void = () => {};
    const services: ChatServices = {
      jobs: {
        start: async ({ by, reason }) => (reason === 'nothing' ? { started: false, why: 'too little data' } : { started: true, job: job('waiting', 0, `${by} wants ${reason}`) }),
        status: async () => job('running', 0.5, 'half way'),
        cancel: async () => true,
        history: async () => [job('done', 1, 'better'), job('refused', 1, 'worse')],
        watch: (_id, onChange) => { tell = onChange; },
      },
    };
    stage = await open({ bot: { operators, services } });
    const boss = stage.person(1);
    const room = stage.direct(boss);
    stage.command(room, boss, 'retrain', { action: 'start', reason: 'cats' });
    const started = await said(room, /Training started: .* wants cats/);
    tell(job('running', 0.4, 'step 40'));
    await said(room, /40 %.*step 40/);
    tell(job('done', 1, 'promoted'));
    await said(room, /100 %.*promoted/);
    expect(stage.said(room)).toHaveLength(1);
    expect(stage.said(room)[0]?.id).toBe(started.id);
    stage.command(room, boss, 'retrain', { action: 'start', reason: 'nothing' });
    await said(room, /not started: too little data/);
    stage.command(room, boss, 'retrain', { action: 'history' });
    await said(room, /better\n.*worse/);
    stage.command(room, boss, 'retrain', { action: 'cancel' });
    await said(room, /being stopped/);
    stage.command(room, boss, 'retrain', { action: 'dance' });
    await said(room, /“dance” does not fit here. Allowed: start \| status \| cancel \| history/);
  });

  test('/adapter, and a refusal in words', async () => {
    const version = (id: string, serving: boolean): AdapterVersion => ({ id, serving, parent: 'a0', createdAt: 0, details: ['recall 0.9'] });
    const pins = new Map<string, string>();
    const services: ChatServices = {
      adapters: {
        list: async () => [version('a2', false), version('a1', true)],
        show: async (id) => (id === 'a2' ? version('a2', false) : null),
        promote: async () => { throw new FromageError({ code: 'LEARNING_REFUSED', what: 'x' }); },
        rollback: async () => version('a0', true),
        pin: async (chatId, id) => {
          if (id === null) pins.delete(chatId);
          else pins.set(chatId, id);
          return id;
        },
        pinned: async (chatId) => pins.get(chatId) ?? null,
      },
    };
    stage = await open({ bot: { operators, services } });
    const boss = stage.person(1);
    const room = stage.direct(boss);
    stage.command(room, boss, 'adapter', { action: 'list' });
    await said(room, /a2; parent: a0\na1 \(serving\); parent: a0/);
    stage.command(room, boss, 'adapter', { action: 'show', id: 'a2' });
    await said(room, /recall 0.9/);
    stage.command(room, boss, 'adapter', { action: 'promote', id: 'a2' });
    await said(room, /The gate refused that adapter/);
    stage.command(room, boss, 'adapter', { action: 'show', id: 'zz' });
    await said(room, /no such adapter/);
    stage.command(room, boss, 'adapter', { action: 'rollback' });
    await said(room, /a0 serves again/);

    // A chat is pinned by its own administrators; what serves everybody is the operators'.
    const [admin, member] = [stage.person(2), stage.person(3)];
    const group = stage.group([admin]);
    stage.command(group, member, 'adapter', { action: 'pin', id: 'a2' });
    await said(group, /Only administrators of this chat/);
    expect(pins.size).toBe(0);
    stage.command(group, admin, 'adapter', { action: 'pin', id: 'a2' });
    await said(group, /a2 answers here from now on/);
    stage.command(group, admin, 'adapter', { action: 'list' });
    await said(group, /a2; parent: a0[^]*Pinned here: a2/);
    stage.command(group, admin, 'adapter', { action: 'promote', id: 'a2' });
    await said(group, /Only my operators/);
    stage.command(group, admin, 'adapter', { action: 'pin', id: 'none' });
    await said(group, /follow again the adapter that serves/);
    expect(pins.size).toBe(0);
  });

  test('/learn keeps a picture for this chat; /unlearn takes back only one’s own', async () => {
    const learned: LearnRequest[] = [];
    const removed: { ids: readonly string[]; tenants: readonly string[]; addedBy?: string; deny: boolean }[] = [];
    const services: ChatServices = {
      galleryAdmin: {
        learn: async (request) => (request.caption === 'evil' ? { outcome: 'denied' } : (learned.push(request), { outcome: 'added', id: '01234567-89ab-4def-8123-456789abcdef', total: 5 })),
        remove: async (request) => (removed.push(request), request.ids),
        stats: async () => ({ total: 12, own: 1, index: 'embedded' }),
      },
    };
    stage = await open({ bot: { operators, services } });
    const me = stage.person(5);
    const room = stage.direct(me);
    stage.command(room, me, 'learn', { caption: 'my cat Tom' }, { picture: colourPng(40) });
    await said(room, /Learned “my cat Tom”.*01234567-89ab-4def-8123-456789abcdef/);
    expect(learned[0]).toMatchObject({ caption: 'my cat Tom', tenant: `chat:${room.key}`, width: 24, height: 24 });
    // Encoded anew: not the bytes that were sent.
    expect(Buffer.from(learned[0]!.bytes).equals(Buffer.from(colourPng(40)))).toBe(false);
    stage.command(room, me, 'learn', { caption: 'evil' }, { picture: colourPng(41) });
    await said(room, /taken down before/);
    stage.command(room, me, 'unlearn', { id: '01234567-89ab-4def-8123-456789abcdef' });
    await said(room, /Taken out: one picture/);
    expect(removed[0]).toEqual({ ids: ['01234567-89ab-4def-8123-456789abcdef'], tenants: [`chat:${room.key}`], addedBy: learned[0]!.userId, deny: false });
    stage.command(room, me, 'gallery', { action: 'stats' });
    await said(room, /12 pictures can be shown here, 1 of them only here/);
    if (name === 'Telegram') {
      stage.command(room, me, 'learn', { caption: 'no picture' });
      await said(room, /Send a picture with the command/);
    }
  });
});
