import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { describeConfig, loadConfig, readEnvironmentFile } from '../../src/config/index.ts';

test('an empty environment gives the documented defaults', () => {
  const config = loadConfig({}, '/srv/bot');
  expect(config).toMatchObject({ PORT: 8080, FROMAGE_HOST: '127.0.0.1', FROMAGE_MODEL: 'starter', FROMAGE_DEVICE: 'auto', FROMAGE_DATA_DIR: '/srv/bot/.fromage', DISCORD_MESSAGE_CONTENT: false });
});

test('all mistakes are reported together, with the name that was meant', () => {
  expect(() => loadConfig({ PORT: 'eighty', FROMAGE_DEVISE: 'cpu', FROMAGE_DEVICE: 'tpu' })).toThrow(/PORT.*|FROMAGE_DEVISE is not known \(did you mean FROMAGE_DEVICE\?\)/);
  try {
    loadConfig({ PORT: 'eighty', FROMAGE_DEVISE: 'cpu', FROMAGE_DEVICE: 'tpu' });
  } catch (error) {
    expect(String(error)).toMatch(/PORT/);
    expect(String(error)).toMatch(/FROMAGE_DEVICE: /);
    expect(String(error)).toMatch(/did you mean FROMAGE_DEVICE/);
  }
});

test('another host is refused without a key, and taken with one', () => {
  expect(() => loadConfig({ FROMAGE_HOST: '0.0.0.0' })).toThrow(/FROMAGE_API_KEY/);
  expect(loadConfig({ FROMAGE_HOST: '0.0.0.0', FROMAGE_API_KEY: 'k'.repeat(16) }).FROMAGE_HOST).toBe('0.0.0.0');
});

test('a webhook is refused without its secret', () => {
  expect(() => loadConfig({ TELEGRAM_TOKEN: 't', TELEGRAM_MODE: 'webhook' })).toThrow(/TELEGRAM_WEBHOOK_SECRET/);
});

test('a secret may lie in a file, and .env gives way to the environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-config-'));
  writeFileSync(join(folder, 'secret'), 'abc\n');
  writeFileSync(join(folder, '.env'), 'PORT=1234\nFROMAGE_THREADS=2\n');
  const config = loadConfig({ ...readEnvironmentFile(folder), PORT: '4321', DISCORD_TOKEN_FILE: join(folder, 'secret') });
  expect(config).toMatchObject({ PORT: 4321, FROMAGE_THREADS: 2, DISCORD_TOKEN: 'abc' });
});

test('every variable is described, and secrets are marked', () => {
  for (const { name, description } of describeConfig()) expect(`${name} ${description}`).toMatch(/ \S/);
  expect(describeConfig().filter(({ secret }) => secret).map(({ name }) => name)).toEqual(expect.arrayContaining(['DISCORD_TOKEN', 'TELEGRAM_TOKEN', 'FROMAGE_API_KEY', 'DATABASE_URL']));
});
