// What two processes and kill −9 must not break, with a count that the callers choose: few in the ordinary
// run, many in the long one.
import { expect } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../src/store/index.ts';

const script = (name: string) => fileURLToPath(new URL(`./processes/${name}.ts`, import.meta.url));
const quiet = ['--disable-warning=ExperimentalWarning'];

function start(name: string, args: readonly string[]) {
  return spawn(process.execPath, [...quiet, script(name), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Two processes, `transactions` in all, on one file. */
export async function twoWriters(transactions: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-writers-'));
  const results = await Promise.all(
    ['a', 'b'].map(async (lane) => {
      const child = start('writer', [folder, lane, String(transactions / 2)]);
      let out = '';
      child.stdout.on('data', (text: Buffer) => (out += text.toString()));
      await new Promise((resolve) => child.once('exit', resolve));
      return JSON.parse(out) as { done: number; failed: number };
    }),
  );
  expect(results).toEqual([{ done: transactions / 2, failed: 0 }, { done: transactions / 2, failed: 0 }]);
  const store = await openStore({ dataDir: folder });
  const chat = await store.conversations.ensureChat({ platform: 'test', externalId: 'shared', kind: 'group' });
  const turns = await store.conversations.turns((await store.conversations.current(chat.id)).id, transactions);
  expect(turns.map((turn) => turn.seq)).toEqual(Array.from({ length: transactions / 2 }, (_, i) => i + 1));
  expect(new Set(turns.map((turn) => (turn.parts[0] as { text: string }).text)).size).toBe(transactions / 2);
  expect((await store.inbox.stats()).pending).toBe(transactions / 2);
  await store.close();
  rmSync(folder, { recursive: true, force: true });
}

export interface CrashFigures {
  readonly trials: number;
  readonly acknowledged: number;
  readonly sent: number;
  readonly unknown: number;
  readonly dead: number;
}

/** Kills a working process at random moments, then lets one finish and counts. */
export async function killTrials(trials: number, mostAcks: number): Promise<CrashFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-kill-'));
  const acknowledged = new Set<string>();
  let next = 0;
  for (let trial = 0; trial < trials; trial++) {
    const child = start('victim', [folder, String(next)]);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const lines = createInterface({ input: child.stdout });
    const ended = new Promise<void>((resolve) => lines.once('close', resolve));
    let seen = 0;
    const opened = new Promise<void>((resolve) => lines.on('line', (line) => {
      if (line === 'open') resolve();
      else {
        acknowledged.add(line.slice(4));
        seen += 1;
        next = Math.max(next, Number(line.slice(4)) + 1);
      }
    }));
    // Every fourth dies while it opens and migrates.
    if (trial % 4 === 0) await sleep(120 + Math.random() * 120);
    else {
      await Promise.race([opened, exited]);
      // By what it has done, not by the clock alone: a busy machine must not make the trials empty.
      const enough = Math.random() * mostAcks;
      for (const end = performance.now() + 5000; seen < enough && performance.now() < end; ) await sleep(2);
      await sleep(Math.random() * 10);
    }
    child.kill('SIGKILL');
    await Promise.all([exited, ended]);
  }

  // Nobody is left: leases end, the rest is worked off here.
  await sleep(150);
  const store = await openStore({ dataDir: folder });
  await store.outbox.sweep();
  const chat = await store.conversations.ensureChat({ platform: 'test', externalId: 'chat', kind: 'group' });
  const workOff = async () => {
    for (let claim; (claim = await store.inbox.claimNext({ owner: 'end', leaseMs: 60_000 })); ) {
      await store.inbox.complete(claim, [{ key: `answer ${claim.updateId}`, platform: 'test', chatId: chat.id, lane: claim.lane, payload: claim.payload }]);
    }
  };
  await workOff();
  // What a process died over eight times waits for a person's word: given here.
  const dead = await store.inbox.deadLetters(10_000);
  for (const letter of dead) {
    expect(letter).toMatchObject({ attempts: 8, error: 'the process ended while working on it' });
    expect(await store.outbox.find(`answer ${letter.updateId}`)).toBeNull();
    expect(await store.inbox.retryDead(letter.id)).toBe(true);
  }
  await workOff();
  const platform = join(folder, 'platform.txt');
  const sent = existsSync(platform) ? readFileSync(platform, 'utf8').trim().split('\n') : [];
  const unknown = (await store.outbox.unknown(100_000)).map((one) => one.key);
  const waiting: string[] = [];
  for (let claim; (claim = await store.outbox.claimNext({ owner: 'end', leaseMs: 60_000 })); ) {
    waiting.push(claim.key);
    await store.outbox.markStarted(claim);
    await store.outbox.markSent(claim, []);
  }
  const stats = await store.inbox.stats();
  await store.close();
  rmSync(folder, { recursive: true, force: true });

  expect(stats).toMatchObject({ pending: 0, running: 0, dead: 0 });
  // Nothing is sent twice, not even what is unknown afterwards.
  expect(new Set(sent).size).toBe(sent.length);
  expect(waiting.filter((key) => sent.includes(key))).toEqual([]);
  // What was acknowledged has exactly one answer: on the platform, on its way, or known to be unknown.
  const answers = new Set([...sent, ...unknown, ...waiting]);
  expect([...acknowledged].filter((id) => !answers.has(`answer ${id}`))).toEqual([]);
  expect(acknowledged.size).toBeGreaterThan(0);
  return { trials, acknowledged: acknowledged.size, sent: sent.length, unknown: unknown.length, dead: dead.length };
}
