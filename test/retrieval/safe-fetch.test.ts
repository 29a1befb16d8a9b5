import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { createSafeFetcher, isPublic } from '../../src/retrieval/safe-fetch.ts';

let server: Server;
let port: number;
let hits: string[] = [];
let inFlight = 0;
let mostInFlight = 0;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    hits.push(request.url ?? '');
    const path = request.url ?? '';
    if (path.startsWith('/to/')) return void response.writeHead(302, { location: decodeURIComponent(path.slice(4)) }).end();
    if (path === '/loop') return void response.writeHead(302, { location: '/loop' }).end();
    if (path === '/gone') return void response.writeHead(404).end('no');
    if (path === '/broken') return void response.writeHead(500).end('no');
    if (path === '/noai') return void response.writeHead(200, { 'x-robots-tag': 'noai' }).end('x');
    if (path === '/hang') return;
    if (path === '/drip') {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
      return;
    }
    if (path === '/endless') {
      response.writeHead(200);
      const write = () => {
        while (response.write(new Uint8Array(65536)));
        response.once('drain', write);
      };
      return write();
    }
    if (path === '/liar') return void response.writeHead(200, { 'content-length': '999999999' }).write('x');
    if (path === '/busy') {
      const again = hits.filter((hit) => hit === '/busy').length > 1;
      return void response.writeHead(again ? 200 : 429, again ? {} : { 'retry-after': '0' }).end('picture');
    }
    inFlight += 1;
    mostInFlight = Math.max(mostInFlight, inFlight);
    await new Promise((resolve) => setTimeout(resolve, 30));
    inFlight -= 1;
    response.writeHead(200).end('picture');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const text = async (bytes: Promise<Uint8Array>) => new TextDecoder().decode(await bytes);

describe('addresses that are never asked', () => {
  const loopback = ['http://127.0.0.1/', 'http://2130706433/', 'http://0x7f000001/', 'http://0177.0.0.1/', 'http://0x7f.1/', 'http://127.1/', 'http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://[::ffff:7f00:1]/', 'http://[::127.0.0.1]/', 'http://0/', 'http://localhost/', 'http://localhost./', 'http://app.localhost/'];
  const inside = ['http://10.0.0.1/', 'http://192.168.1.1/', 'http://172.16.0.1/', 'http://169.254.169.254/latest/meta-data/', 'http://100.64.0.1/', 'http://[fe80::1]/', 'http://[fd00::1]/', 'http://[64:ff9b::7f00:1]/', 'http://[2002:7f00:1::]/', 'http://224.0.0.1/', 'http://255.255.255.255/', 'http://printer.local/', 'http://metadata.google.internal/', 'http://router/'];
  const odd = ['file:///etc/passwd', 'ftp://example.org/a.jpg', 'data:image/png;base64,AAAA', 'gopher://example.org/', 'http://user:secret@example.org/', 'http://user@example.org/', 'http://example.org:22/', 'http://example.org:6379/', 'http://134744072/', 'http://0x08080808/', 'not an address', ''];

  test.each([...loopback, ...inside, ...odd])('%s', async (address) => {
    let resolved = 0;
    const fetcher = createSafeFetcher({ resolve: async () => (resolved++, [{ address: '127.0.0.1', family: 4 }]) });
    await expect(fetcher.fetch(address)).rejects.toMatchObject({ code: 'FETCH_ADDRESS', retryable: false });
    expect(resolved).toBe(0);
    await fetcher.close();
  });

  test('a number written as an address is refused even where it is public', () => {
    expect(isPublic('8.8.8.8')).toBe(true);
    expect(isPublic('2606:4700::1111')).toBe(true);
    expect(isPublic('::ffff:8.8.8.8')).toBe(true);
  });

  test('no IPv4 address of a private network is public, in whatever notation', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const first = fc.constantFrom([10], [127], [0], [169, 254], [192, 168], [172, 16], [172, 31], [100, 64], [224], [255]);
    fc.assert(
      fc.property(first, octet, octet, octet, (start, a, b, c) => {
        const parts = [...start, a, b, c].slice(0, 4);
        const dotted = parts.join('.');
        const hex = parts.map((part) => part.toString(16).padStart(2, '0')).join('');
        return [dotted, `::ffff:${dotted}`, `::ffff:${hex.slice(0, 4)}:${hex.slice(4)}`, `64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}`].every((address) => !isPublic(address));
      }),
    );
  });
});

describe('names', () => {
  test.each(['127.0.0.1', '10.1.2.3', '::1', '::ffff:127.0.0.1', 'fd00::1', '169.254.169.254'])('a public name that resolves to %s is not connected to', async (address) => {
    hits = [];
    const fetcher = createSafeFetcher({ resolve: async () => [{ address, family: address.includes(':') ? 6 : 4 }] });
    await expect(fetcher.fetch('http://pictures.example.org/a.jpg')).rejects.toMatchObject({ code: 'FETCH_ADDRESS' });
    expect(hits).toEqual([]);
    await fetcher.close();
  });

  test('one private address among public ones is enough to refuse', async () => {
    const fetcher = createSafeFetcher({ resolve: async () => [{ address: '93.184.216.34', family: 4 }, { address: '127.0.0.1', family: 4 }] });
    await expect(fetcher.fetch('http://pictures.example.org/a.jpg')).rejects.toMatchObject({ code: 'FETCH_ADDRESS' });
    await fetcher.close();
  });

  test('the address that was checked is the one connected to: a name that changes its mind gains nothing', async () => {
    let asked = 0;
    const fetcher = createSafeFetcher({ timeoutMs: 300, resolve: async () => [{ address: asked++ === 0 ? '192.0.2.1' : '127.0.0.1', family: 4 }] });
    hits = [];
    for (let i = 0; i < 3; i++) await expect(fetcher.fetch('http://rebinding.example.org/')).rejects.toMatchObject({ code: expect.stringMatching(/^FETCH_/) });
    expect(hits).toEqual([]);
    await fetcher.close();
  });

  test('a host that does not exist is gone for good', async () => {
    const fetcher = createSafeFetcher({ resolve: async () => { throw Object.assign(new Error('no'), { code: 'ENOTFOUND' }); } });
    await expect(fetcher.fetch('http://gone.example.org/')).rejects.toMatchObject({ code: 'FETCH_GONE', retryable: false });
    await fetcher.close();
  });
});

describe('a host of the operator', () => {
  const open = (more = {}) => createSafeFetcher({ allowHosts: [`127.0.0.1:${port}`], pauseMs: 0, ...more });

  test('is asked; another port of it is not', async () => {
    const fetcher = open();
    expect(await text(fetcher.fetch(`http://127.0.0.1:${port}/a.jpg`))).toBe('picture');
    await expect(fetcher.fetch(`http://127.0.0.1:${port + 1}/a.jpg`)).rejects.toMatchObject({ code: 'FETCH_ADDRESS' });
    await fetcher.close();
  });

  test('redirects to places inside are refused, to itself followed, and end', async () => {
    const fetcher = open();
    for (const inside of ['http://127.0.0.1:22/', 'http://169.254.169.254/', 'file:///etc/passwd', 'http://[::ffff:127.0.0.1]/', 'http://2130706433/', '//10.0.0.1/']) {
      await expect(fetcher.fetch(`http://127.0.0.1:${port}/to/${encodeURIComponent(inside)}`)).rejects.toMatchObject({ code: 'FETCH_ADDRESS' });
    }
    expect(await text(fetcher.fetch(`http://127.0.0.1:${port}/to/${encodeURIComponent('/a.jpg')}`))).toBe('picture');
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/loop`)).rejects.toMatchObject({ code: 'FETCH_ADDRESS' });
    await fetcher.close();
  });

  test('bytes and time are limited, whatever the server says', async () => {
    const fetcher = open({ maxBytes: 100_000, timeoutMs: 250 });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/endless`)).rejects.toMatchObject({ code: 'FETCH_SIZE' });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/liar`)).rejects.toMatchObject({ code: 'FETCH_SIZE' });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/hang`)).rejects.toMatchObject({ code: 'FETCH_FAILED', retryable: true });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/drip`)).rejects.toMatchObject({ code: 'FETCH_FAILED', retryable: true });
    await fetcher.close();
  });

  test('answers are told apart: gone, for now, unwanted, busy', async () => {
    const fetcher = open();
    hits = [];
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/gone`)).rejects.toMatchObject({ code: 'FETCH_GONE' });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/noai`)).rejects.toMatchObject({ code: 'FETCH_GONE' });
    await expect(fetcher.fetch(`http://127.0.0.1:${port}/broken`)).rejects.toMatchObject({ code: 'FETCH_FAILED' });
    expect(await text(fetcher.fetch(`http://127.0.0.1:${port}/busy`))).toBe('picture');
    await fetcher.close();
  });

  test('is asked politely: two at a time', async () => {
    const fetcher = open();
    mostInFlight = 0;
    await Promise.all(Array.from({ length: 8 }, (_, i) => fetcher.fetch(`http://127.0.0.1:${port}/${i}.jpg`)));
    expect(mostInFlight).toBe(2);
    await fetcher.close();
  });

  test('a caller that gives up is told so', async () => {
    const fetcher = open();
    const controller = new AbortController();
    const fetching = fetcher.fetch(`http://127.0.0.1:${port}/hang`, controller.signal);
    controller.abort();
    await expect(fetching).rejects.toMatchObject({ name: 'AbortError' });
    await fetcher.close();
  });
});
