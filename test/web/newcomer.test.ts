// The newcomer's way, whole: the real command starts the real starter in an empty folder, a real browser
// talks to it, and SIGTERM ends it.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';

const root = resolve(import.meta.dirname, '../..');
const weights = existsSync(join(root, 'models/starter/SmolLM2-135M-Instruct.Q4_1.gguf'));
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
const picture = join(root, 'docs/picture.jpg');

/** Weights are left out of sparse checkouts. */
const withStarter = weights ? describe : describe.skip;
/** Without Debian's chromium (or Chrome) the browser's part is skipped. */
const withBrowser = browserPath ? test : test.skip;

withStarter('a newcomer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-newcomer-'));
  let program: ChildProcess;
  let url = '';
  let output = '';
  let browser: Browser | undefined;
  let page: Page;

  beforeAll(async () => {
    program = spawn(process.execPath, [join(root, 'bin/fromage.mjs'), 'start', '--port', '0', '--threads', '1'], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'] });
    program.stdout!.on('data', (chunk) => (output += chunk));
    program.stderr!.on('data', (chunk) => (output += chunk));
    await until(() => /listens on (\S+)/.test(output));
    url = /listens on (\S+)/.exec(output)![1]!;
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    program.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 120_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; !(await condition()); ) {
      if (Date.now() > end || program.exitCode !== null) throw new Error(`the program did not get there:\n${output}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  test('is told that the model is being loaded, and then that it is ready', async () => {
    const health = async () => (await fetch(`${url}healthz`)).status;
    expect([200, 503]).toContain(await health());
    await until(async () => (await health()) === 200);
    await until(() => output.includes('pictures can be shown'));
    expect(output).toMatch(/1360 pictures can be shown/);
  }, 180_000);

  test('is shown a dog when asking for one, and told the capital of France in words', async () => {
    const ask = async (content: string) => {
      const response = await fetch(`${url}v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages: [{ role: 'user', content }] }) });
      return ((await response.json()) as { choices: { message: { content: string; images: { alt: string }[] } }[] }).choices[0]!.message;
    };
    expect((await ask('Show me a dog')).images.map(({ alt }) => alt)).toEqual(['dog']);
    const words = await ask('What is the capital of France?');
    expect(words.content).toContain('Paris');
    expect(words.images).toEqual([]);
  });

  withBrowser('drops in a photo, asks about it, asks to be shown something, and votes', async () => {
    browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox'] });
    page = await browser.newPage({ viewport: { width: 960, height: 1080 } });
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('request', (request) => request.url().startsWith(url) || request.url().startsWith('data:') || request.url().startsWith('blob:') || problems.push(`asked outside: ${request.url()}`));
    await page.goto(url);
    await page.setInputFiles('#files', picture);
    await page.fill('#text', 'What is in this picture?');
    await page.keyboard.press('Enter');
    await answers(1);
    expect((await page.locator('article.assistant').first().textContent())!.length).toBeGreaterThan(10);
    await page.fill('#text', 'Show me a red apple');
    await page.keyboard.press('Enter');
    await answers(2);
    const shown = page.locator('article.assistant').nth(1).locator('img');
    expect(await shown.getAttribute('alt')).toMatch(/apple/);
    await until(() => shown.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth > 0));
    await page.locator('article.assistant').nth(1).getByLabel('Good answer').click();
    await page.locator('[aria-label="Good answer"][aria-pressed="true"]').waitFor();
    if (process.env.FROMAGE_TEST_SCREENSHOT) await page.screenshot({ path: process.env.FROMAGE_TEST_SCREENSHOT });
    await page.reload();
    await page.locator('[aria-label="Good answer"][aria-pressed="true"]').waitFor();
    expect(await page.locator('article').count()).toBe(4);
    expect(problems).toEqual([]);
  }, 90_000);

  withBrowser('stops an answer, clears the conversation, and works by keyboard', async () => {
    await page.fill('#text', 'Write a very long story about a ship.');
    await page.keyboard.press('Enter');
    await page.locator('#stop').waitFor({ state: 'visible' });
    await page.keyboard.press('Escape');
    await page.locator('#send').waitFor({ state: 'visible' });
    await page.locator('#clear').click();
    await page.locator('#welcome').waitFor();
    expect(await page.locator('article').count()).toBe(0);
    await page.focus('#tab-chat');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#view-gallery').isVisible()).toBe(true);
    await page.fill('#query', 'a fruit');
    await page.keyboard.press('Enter');
    await page.locator('#found li').first().waitFor();
    expect(await page.locator('#found img').first().getAttribute('alt')).toBeTruthy();
  }, 60_000);

  test('ends it with SIGTERM, in order', async () => {
    const ended = new Promise((done) => program.once('exit', (code) => done(code)));
    program.kill('SIGTERM');
    expect(await ended).toBe(0);
  }, 20_000);

  async function answers(count: number): Promise<void> {
    await until(async () => (await page.locator('article.assistant .tools').count()) === count, 60_000);
  }
});
