// The page in a real browser, over a learning that has something to tell: by keyboard alone, at a phone's
// and a desk's width, and with an API key, as the pictures of a comparison need it too.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { LearningPage } from '../../src/web/index.ts';
import { drawPicture, startTestServer, type TestServer } from './server.ts';

const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
/** Without Debian's chromium (or Chrome) there is nothing to look with. */
const withBrowser = browserPath ? describe : describe.skip;
const apiKey = 'k'.repeat(24);

withBrowser('the page', () => {
  let running: TestServer;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];
  const did: string[] = [];

  beforeAll(async () => {
    running = await startTestServer({ apiKey, learning: () => learning(did, async () => (await running.gallery.sample({ tenants: ['all'] }, 1))[0]!.id) });
    browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox'] });
    page = await browser.newPage({ viewport: { width: 960, height: 800 } });
    page.on('dialog', (dialog) => void dialog.accept(dialog.message().includes('API key') ? apiKey : 'a caption'));
    page.on('pageerror', (error) => problems.push(error.message));
    // The first call without the key is refused, which the browser notes.
    page.on('console', (message) => message.type() === 'error' && !message.text().includes('401') && problems.push(message.text()));
    await page.goto(running.url);
    await page.waitForFunction('sessionStorage.getItem("fromage-key") !== null');
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await running.close();
  });

  /** Presses Tab until something of this selector has the focus. */
  async function tabTo(selector: string): Promise<void> {
    for (let presses = 0; presses < 60; presses++) {
      if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)})`)) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab does not lead to ${selector}`);
  }

  test('learning is seen and steered by keyboard', async () => {
    await page.focus('#tab-chat');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.locator('#learn-versions details').first().waitFor();
    expect(await page.getByRole('img', { name: /Votes a day, at most 4: 5 good, upwards; 1 bad, downwards/ }).isVisible()).toBe(true);
    await page.getByRole('img', { name: /Run of .*InfoNCE 2 → 0\.5/ }).waitFor();
    expect(await page.locator('#learn-cancel').isVisible()).toBe(false);
    await tabTo('#learn-reason');
    await page.keyboard.type('because');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Training was not started: too little').waitFor();
    await tabTo('#learn-versions summary');
    await page.keyboard.press('Enter');
    await tabTo('[aria-label="Promote a-2"]');
    await page.keyboard.press('Enter');
    await page.getByText('a-2 serves from now on.').waitFor();
    await tabTo('#learn-why');
    await page.keyboard.type('worse');
    await tabTo('#learn-rollback');
    await page.keyboard.press('Enter');
    await page.getByText('a-1 serves again.').waitFor();
    expect(did).toEqual(['start because', 'promote a-2 ', 'rollback worse']);
    // What was unfolded stays so: nothing new was to be drawn.
    expect(await page.locator('#learn-versions details[open]').count()).toBe(1);
  });

  test('two versions stand side by side, with the pictures that they answer, behind the key', async () => {
    expect(await page.locator('#learn-first').inputValue()).toBe('a-1');
    expect(await page.locator('#learn-second').inputValue()).toBe('a-2');
    await tabTo('#learn-compare button');
    await page.keyboard.press('Enter');
    await page.locator('#learn-answers td img').first().waitFor();
    await page.waitForFunction('document.querySelector("#learn-answers td img").naturalWidth > 0');
    expect(await page.locator('#learn-answers tr').first().locator('th').allTextContents()).toEqual(['Question', 'a-1', 'a-2']);
  });

  test('consent is given and taken back in the settings, and recorded', async () => {
    const { consents, conversations } = running.store;
    const visitor = await page.evaluate('localStorage.getItem("fromage-visitor")');
    const { id } = await conversations.ensureUser({ platform: 'web', externalId: String(visitor) });
    await page.focus('#open-settings');
    await page.keyboard.press('Enter');
    await tabTo('#consent-votes');
    const press = async () => {
      const recorded = page.waitForResponse((response) => response.url().endsWith('/api/consent') && response.request().method() === 'POST');
      await page.keyboard.press('Space');
      await recorded;
      return (await consents.history(id)).map(({ purpose, revokedAt }) => [purpose, revokedAt === null]);
    };
    expect(await press()).toEqual([['train-votes', true]]);
    expect(await press()).toEqual([['train-votes', false]]);
    await page.keyboard.press('Escape');
  });

  test('a shown picture is said to be wrong, and the answer bad', async () => {
    await page.click('#tab-chat');
    await page.fill('#text', 'something red');
    await page.click('#show-me');
    await page.locator('article.assistant figure').first().waitFor();
    for (const label of ['Not this picture', 'Bad answer']) {
      await tabTo(`[aria-label="${label}"]`);
      await page.keyboard.press('Enter');
      await page.locator(`[aria-label="${label}"][aria-pressed="true"]`).waitFor();
    }
    expect(await running.store.votes.daily(0)).toMatchObject([{ up: 0, down: 1 }]);
  });

  test('a picture is added with its caption by the button on the gallery tab', async () => {
    await page.click('#tab-gallery');
    const chosen = page.waitForEvent('filechooser');
    await tabTo('#add-pictures');
    await page.keyboard.press('Enter');
    await (await chosen).setFiles({ name: 'x.png', mimeType: 'image/png', buffer: await drawPicture('violet') });
    await page.getByText('Added “a caption”').waitFor();
  });

  test.each([390, 960])('nothing is cut off or unnamed at a width of %i', async (width) => {
    await page.setViewportSize({ width, height: 800 });
    for (const tab of ['chat', 'gallery', 'learning', 'settings']) {
      await page.click(tab === 'settings' ? '#open-settings' : `#tab-${tab}`);
      await page.waitForTimeout(100);
      expect([tab, await page.evaluate(outside)]).toEqual([tab, []]);
      expect([tab, await page.evaluate(unnamed)]).toEqual([tab, []]);
    }
    await page.keyboard.press('Escape');
  });

  test('nothing went wrong meanwhile', () => expect(problems).toEqual([]));
});

/** Visible controls that reach out of the window, by their ids or words; runs in the browser. */
const outside = `[...document.querySelectorAll('button, input, select, textarea, label, figure, td')].filter((one) => {
  const { left, right, width } = one.getBoundingClientRect();
  return width > 0 && (left < 0 || right > innerWidth || right > (one.closest('dialog')?.getBoundingClientRect().right ?? innerWidth));
}).map((one) => one.id || one.textContent)`;
/** Visible controls without a name for those who do not see them. */
const unnamed = `[...document.querySelectorAll('button, input, select, textarea')].filter((one) => one.getBoundingClientRect().width > 0
  && !(one.getAttribute('aria-label') || one.textContent.trim() && one.tagName === 'BUTTON' || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML)`;

function learning(did: string[], pictureId: () => Promise<string>): LearningPage {
  const version = (id: string, serving: boolean) => ({ id, serving, parent: serving ? null : 'a-1', createdAt: 1, details: ['state candidate', 'a hash that is long enough to reach out of a narrow window: 0123456789abcdef0123456789abcdef'] });
  return {
    jobs: {
      async start({ reason }) {
        did.push(`start ${reason}`);
        return { started: false, why: 'too little' };
      },
      cancel: async () => false,
    },
    adapters: {
      async promote(id, _by, why) {
        did.push(`promote ${id} ${why}`);
        return version(id, true);
      },
      async rollback(_by, why) {
        did.push(`rollback ${why}`);
        return version('a-1', true);
      },
    },
    overview: {
      facts: async () => ({
        votes: [{ day: '2026-01-30', up: 4, down: 0 }, { day: '2026-02-02', up: 1, down: 1 }],
        runs: [{ id: 'j', runId: 'r', state: 'done', startedAt: 1, endedAt: 2, progress: 1, examples: 9, summary: 'It passed.' }],
        versions: [version('a-2', false), version('a-1', true)],
        serving: 'a-1',
      }),
      curve: async () => [{ step: 1, at: 1, values: { infoNce: 2 } }, { step: 2, at: 2, values: { infoNce: 0.5 } }],
      async compare(ids, questions) {
        const picture = { id: await pictureId(), alt: 'something' };
        return questions.map((question) => ({ question, answers: ids.map((adapter) => ({ adapter, text: 'x', picture })) }));
      },
    },
  };
}
