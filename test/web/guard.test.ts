import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from './server.ts';

let open: TestServer;
let closed: TestServer;
const key = 'a-key-of-sixteen-or-more';

beforeAll(async () => {
  open = await startTestServer();
  closed = await startTestServer({ apiKey: key });
});
afterAll(async () => {
  await open.close();
  await closed.close();
});

/** fetch does not let a caller choose Host; node:http does. */
function status(server: TestServer, path: string, headers: Record<string, string>, method = 'GET'): Promise<number> {
  const url = new URL(server.url);
  return new Promise((resolve, reject) => {
    request({ host: url.hostname, port: url.port, path, method, headers: { host: url.host, ...headers } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

test('a foreign Host is refused (DNS rebinding), loopback names are not', async () => {
  expect(await status(open, '/', { host: 'evil.example' })).toBe(403);
  expect(await status(open, '/v1/models', { host: 'evil.example:8080' })).toBe(403);
  expect(await status(open, '/v1/models', { host: '127.0.0.1.evil.example' })).toBe(403);
  expect(await status(open, '/v1/models', { host: 'localhost:1234' })).toBe(200);
});

test('a foreign Origin is refused, the own one is not', async () => {
  expect(await status(open, '/v1/models', { origin: 'https://evil.example' })).toBe(403);
  expect(await status(open, '/v1/models', { origin: 'null' })).toBe(403);
  expect(await status(open, '/v1/models', { origin: open.url })).toBe(200);
  expect(await status(open, '/api/gallery?q=x', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(403);
});

test('with a key, nothing but the page and the health check answers without it', async () => {
  expect(await status(closed, '/v1/models', {})).toBe(401);
  expect(await status(closed, '/metrics', {})).toBe(401);
  expect(await status(closed, '/v1/models', { authorization: 'Bearer wrong' })).toBe(401);
  expect(await status(closed, '/v1/models', { authorization: `Bearer ${key}` })).toBe(200);
  expect(await status(closed, '/healthz', {})).toBe(200);
  expect(await status(closed, '/', {})).toBe(200);
});

test('a picture opens with its signature, and with no other', async () => {
  const response = await fetch(`${closed.url}/api/gallery?q=red`, { headers: { authorization: `Bearer ${key}` } });
  const { pictures } = (await response.json()) as { pictures: { url: string }[] };
  const [first, second] = pictures.map(({ url }) => url);
  expect(await status(closed, first!, {})).toBe(200);
  expect(await status(closed, first!.split('?')[0]!, {})).toBe(401);
  expect(await status(closed, `${first!.split('?')[0]}?${second!.split('?')[1]}`, {})).toBe(401);
  expect(await status(closed, first!, {}, 'DELETE')).toBe(401);
});

test('paths that leave the page folder find nothing', async () => {
  for (const path of ['/page/..%2f..%2fpackage.json', '/page/../../package.json', '/page/tsconfig.json', '/page/%00']) expect(await status(open, path, {})).toBe(404);
});

test('a taken port is an error that says what to do', async () => {
  const port = Number(new URL(open.url).port);
  await expect(startTestServer({ port })).rejects.toMatchObject({ code: 'WEB_PORT_TAKEN', todo: expect.stringMatching(/PORT=/) });
});
