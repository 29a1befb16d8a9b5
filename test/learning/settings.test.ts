// Settings of learning that an operator keeps: checked before they are kept, and above those of the program.
import { expect, test } from '@jest/globals';
import type { JsonValue, SettingsStore } from '../../src/chat/contracts.ts';
import { keepSetting, listSettings, readSettings } from '../../src/learning/kept-settings.ts';
import { parseLearningSettings } from '../../src/learning/settings.ts';

function memory(): SettingsStore {
  const rows = new Map<string, JsonValue>();
  return {
    all: async () => Object.fromEntries(rows),
    get: async (scope, key) => rows.get(`${scope} ${key}`),
    set: async (scope, key, value) => void rows.set(`${scope} ${key}`, value),
    unset: async (scope, key) => void rows.delete(`${scope} ${key}`),
  };
}

test('one setting at a time, above those of the program; what is not allowed changes nothing', async () => {
  const store = memory();
  const given = parseLearningSettings({ discord: { votes: true }, gate: { recallLoss: 0.5 } });
  await keepSetting(store, given, 'schedule.everyHours', '24');
  await keepSetting(store, given, 'gate.minApprovalGain', '0.1');
  await keepSetting(store, given, 'promote', 'ask');
  await keepSetting(store, given, 'training.steps', '7');
  const read = await readSettings(store, given);
  expect(read).toMatchObject({ schedule: { everyHours: 24 }, gate: { minApprovalGain: 0.1, recallLoss: 0.5 }, promote: 'ask', discord: { votes: true, captions: false }, training: { steps: 7 } });
  for (const [name, value] of [['promote', 'always'], ['gate.recallLoss', '2'], ['minPeople', '-1'], ['nonsense', '1'], ['gate.nonsense', '1'], ['gate', '{}'], ['schedule.everyHours.x', '1']] as const) {
    await expect(keepSetting(store, given, name, value)).rejects.toMatchObject({ code: 'LEARNING_SETTINGS' });
  }
  expect(await readSettings(store, given)).toEqual(read);
  const listed = await listSettings(store, given);
  expect(listed.find(({ name }) => name === 'schedule.everyHours')).toMatchObject({ value: 24, kept: true, description: expect.stringContaining('0 never') });
  expect(listed.find(({ name }) => name === 'gate.recallLoss')).toMatchObject({ value: 0.5, kept: false });
  // Every one of them is explained.
  expect(listed.filter(({ description }) => description === '')).toEqual([]);
  await keepSetting(store, given, 'schedule.everyHours', null);
  expect((await readSettings(store, given)).schedule.everyHours).toBe(0);
});

test('what somebody else broke in the store is left aside', async () => {
  const store = memory();
  const given = parseLearningSettings({});
  await store.set('global', 'learning', { minPeople: 'many' });
  expect(await readSettings(store, given)).toEqual(given);
  await store.set('global', 'learning', ['x']);
  expect(await readSettings(store, given)).toEqual(given);
});
