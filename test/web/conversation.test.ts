import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { dataUrl, startTestServer, type TestServer } from './server.ts';

let running: TestServer;
beforeAll(async () => {
  running = await startTestServer();
});
afterAll(() => running.close());

const anna = '11111111-1111-4111-8111-111111111111';
const boris = '22222222-2222-4222-8222-222222222222';

interface Event {
  readonly type: string;
  readonly answerId?: string;
  readonly text?: string;
  readonly pictures?: { readonly id: string; readonly url: string; readonly alt: string }[];
}

async function call(visitor: string, path: string, method = 'GET', body?: unknown): Promise<Response> {
  return fetch(running.url + path, { method, headers: { 'x-fromage-visitor': visitor, ...(body ? { 'content-type': 'application/json' } : {}) }, ...(body ? { body: JSON.stringify(body) } : {}) });
}

async function ask(visitor: string, message: object): Promise<Event[]> {
  const text = await (await call(visitor, '/api/messages', 'POST', { settings: { maxNewTokens: 12 }, ...message })).text();
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => JSON.parse(block.slice(6)) as Event);
}

async function conversation(visitor: string) {
  return (await (await call(visitor, '/api/conversation')).json()) as { turns: { role: string; parts: { type: string; id?: string; wrong?: boolean; text?: string; url?: string; alt?: string }[]; answerId: string | null; vote: string | null }[] };
}

test('a question with a picture and its answer are there again when the page is opened anew', async () => {
  const events = await ask(anna, { text: 'What is this?', images: [await dataUrl('teal')], showMe: true });
  expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['question', 'started', 'pictures', 'end']));
  const { turns } = await conversation(anna);
  expect(turns.map(({ role }) => role)).toEqual(['user', 'assistant']);
  expect(turns[0]!.parts.map(({ type }) => type)).toEqual(['image', 'text']);
  const sent = await fetch(running.url + turns[0]!.parts[0]!.url);
  expect(sent.headers.get('content-type')).toMatch(/^image\//);
  const shown = turns[1]!.parts.find(({ type }) => type === 'image');
  expect(shown).toMatchObject({ alt: events.find(({ type }) => type === 'pictures')!.pictures![0]!.alt });
});

test('a picture shown once in a conversation is not shown again', async () => {
  const first = await ask(boris, { text: 'Show me something', showMe: true });
  const second = await ask(boris, { text: 'Show me any other', showMe: true });
  const shown = (events: Event[]) => events.flatMap(({ pictures }) => pictures ?? []).map(({ id }) => id);
  expect(shown(first)).toHaveLength(1);
  expect(shown(second)).toHaveLength(1);
  expect(shown(second)).not.toEqual(shown(first));
});

test('a vote is kept, changed, and taken back', async () => {
  const { turns } = await conversation(anna);
  const answerId = turns.at(-1)!.answerId!;
  for (const value of ['up', 'down', null]) {
    expect((await call(anna, '/api/votes', 'POST', { answerId, value })).status).toBe(200);
    expect((await conversation(anna)).turns.at(-1)!.vote).toBe(value);
  }
  expect((await call(anna, '/api/votes', 'POST', { answerId: 'nothing', value: 'up' })).status).toBe(404);
});

test('“not this picture” is kept of a shown one, and goes with 👍; of the answers to others nobody says anything', async () => {
  const { turns } = await conversation(anna);
  const { answerId, parts } = turns.at(-1)!;
  const shown = () => conversation(anna).then((now) => now.turns.at(-1)!.parts.find(({ type }) => type === 'image'));
  const pictureId = parts.find(({ type }) => type === 'image')!.id!;
  expect((await call(anna, '/api/wrong', 'POST', { answerId, pictureId: 'another' })).status).toBe(404);
  expect((await call(boris, '/api/wrong', 'POST', { answerId, pictureId })).status).toBe(404);
  expect((await call(boris, '/api/votes', 'POST', { answerId, value: 'down' })).status).toBe(404);
  expect(await shown()).toMatchObject({ wrong: false });
  expect((await call(anna, '/api/wrong', 'POST', { answerId, pictureId })).status).toBe(200);
  expect((await call(anna, '/api/votes', 'POST', { answerId, value: 'down' })).status).toBe(200);
  expect(await shown()).toMatchObject({ wrong: true });
  expect(await running.store.votes.corrections(answerId!)).toMatchObject([{ kind: 'not-this', pictureId }]);
  expect((await call(anna, '/api/votes', 'POST', { answerId, value: 'up' })).status).toBe(200);
  expect(await shown()).toMatchObject({ wrong: false });
});

test('consent is given and taken back by the visitor alone, one purpose at a time', async () => {
  const of = async (visitor: string) => (await call(visitor, '/api/consent')).json();
  expect(await of(anna)).toEqual({ votes: false, text: false, pictures: false });
  expect(await (await call(anna, '/api/consent', 'POST', { purpose: 'votes', given: true })).json()).toEqual({ votes: true, text: false, pictures: false });
  expect(await of(boris)).toEqual({ votes: false, text: false, pictures: false });
  const [voted] = (await running.store.feedback.since(0)).filter(({ platform }) => platform === 'web');
  expect(voted!.voterConsents.map(({ purpose }) => purpose)).toEqual(['train-votes']);
  await call(anna, '/api/consent', 'POST', { purpose: 'votes', given: false });
  expect(await of(anna)).toEqual({ votes: false, text: false, pictures: false });
  expect((await call(anna, '/api/consent', 'POST', { purpose: 'everything', given: true })).status).toBe(400);
});

test('one visitor sees nothing of another', async () => {
  const mine = JSON.stringify(await conversation(anna));
  expect(JSON.stringify(await conversation(boris))).not.toContain('What is this?');
  expect(mine).not.toContain('any other');
});

test('clearing forgets the conversation, and forgetting removes everything of a visitor', async () => {
  expect((await call(boris, '/api/conversation', 'DELETE')).status).toBe(200);
  expect((await conversation(boris)).turns).toEqual([]);
  const zip = await call(anna, '/api/mydata');
  expect(new Uint8Array(await zip.arrayBuffer()).subarray(0, 2)).toEqual(Uint8Array.of(0x50, 0x4b));
  const report = (await (await call(anna, '/api/forget', 'POST', {})).json()) as { turns: number };
  expect(report.turns).toBeGreaterThan(0);
  expect((await conversation(anna)).turns).toEqual([]);
});

test('the gallery is asked for likeness, away from words, page by page, and drawn as a map', async () => {
  type Found = { id: string; score: number };
  const get = async (path: string) => (await (await call(anna, path)).json()) as { pictures: Found[] };
  const { pictures: all } = await get('/api/gallery?q=something&limit=60');
  const like = await get(`/api/gallery?like=${all[1]!.id}&limit=60`);
  expect(like.pictures[0]).toMatchObject({ id: all[1]!.id });
  expect(like.pictures[0]!.score).toBeCloseTo(1, 4);
  const second = await get('/api/gallery?q=something&limit=1&page=2');
  expect(second.pictures.map(({ id }) => id)).toEqual([all[1]!.id]);
  const away = await get('/api/gallery?q=something&avoid=red&limit=60');
  expect(away.pictures.map(({ score }) => score)).not.toEqual(all.map(({ score }) => score));
  expect((await call(anna, '/api/gallery')).status).toBe(400);
  expect((await call(anna, '/api/gallery?like=00000000-0000-4000-8000-000000000000')).status).toBe(404);
  const map = (await (await call(anna, '/api/gallery/map')).json()) as { points: { id: string; x: number; y: number; url: string }[] };
  expect(map.points.map(({ id }) => id).sort()).toEqual(all.map(({ id }) => id).sort());
  for (const { x, y, url } of map.points) expect([Math.abs(x) <= 1, Math.abs(y) <= 1, url.startsWith('/v1/pictures/')]).toEqual([true, true, true]);
});

test('a picture added to the gallery is found at once, and can be removed again', async () => {
  const added = (await (await call(anna, '/api/gallery', 'POST', { image: await dataUrl('magenta'), caption: 'a magenta square' })).json()) as { id: string };
  const search = async () => ((await (await call(anna, '/api/gallery?q=magenta&limit=60')).json()) as { pictures: { id: string }[] }).pictures.map(({ id }) => id);
  expect(await search()).toContain(added.id);
  expect((await call(anna, `/api/gallery/${added.id}`, 'DELETE')).status).toBe(200);
  expect(await search()).not.toContain(added.id);
});

test('a picture added to the gallery is its visitor’s: forgetting takes it along; one added by a program is nobody’s', async () => {
  const visitor = '00000000-0000-4000-8000-0000000000c5';
  const add = async (headers: Record<string, string>, colour: string) => {
    const response = await fetch(`${running.url}/api/gallery`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ image: await dataUrl(colour), caption: `all ${colour}` }) });
    return ((await response.json()) as { id: string }).id;
  };
  const [mine, nobodys] = [await add({ 'x-fromage-visitor': visitor }, 'olive'), await add({}, 'teal')];
  const { id } = await running.store.conversations.ensureUser({ platform: 'web', externalId: visitor });
  expect((await running.store.pictures.get(mine))?.addedBy).toBe(id);
  expect((await running.store.pictures.get(nobodys))?.addedBy).toBe('web');
  await call(visitor, '/api/forget', 'POST', {});
  expect(await running.store.pictures.get(mine)).toBeNull();
  expect(await running.gallery.get(mine, { tenants: ['web'] })).toBeNull();
  expect(await running.store.pictures.get(nobodys)).not.toBeNull();
});

test.each([
  ['an empty message', { text: '  ' }],
  ['a picture that is none', { images: ['data:image/png;base64,bm90IGEgcGljdHVyZQ=='] }],
  ['nine pictures', { text: 'x', images: Array.from({ length: 9 }, () => 'data:image/png;base64,AAAA') }],
])('%s is refused in words', async (_name, message) => {
  const response = await call(boris, '/api/messages', 'POST', message);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(/\w+ \w+/);
});

test('a request without a visitor is refused', async () => {
  expect((await fetch(`${running.url}/api/conversation`)).status).toBe(400);
});
