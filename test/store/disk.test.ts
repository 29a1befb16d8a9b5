// A full disk and one that cannot be written, made real: a small file system in memory where this user may
// mount one, the largest file size of the process everywhere.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../src/store/index.ts';

interface Outcome {
  readonly turns: readonly string[];
  readonly files: readonly string[];
  readonly problem: { readonly code?: string; readonly message: string; readonly retryable?: boolean } | null;
}

const filler = fileURLToPath(new URL('./processes/filler.ts', import.meta.url));

function fill(folder: string, limit = ''): Outcome {
  const { stdout, stderr } = spawnSync('bash', ['-c', `${limit} exec "$0" --disable-warning=ExperimentalWarning "$@"`, process.execPath, filler, folder], { encoding: 'utf8', env: { ...process.env, FROMAGE_LOG: 'silent' } });
  try {
    return JSON.parse(stdout) as Outcome;
  } catch {
    throw new Error(`the filler ended with: ${stdout} ${stderr}`);
  }
}

/** Everything that was acknowledged is there, and the file is sound. */
async function expectWhole(folder: string, outcome: Outcome): Promise<void> {
  const store = await openStore({ dataDir: folder });
  for (const id of outcome.turns) expect(await store.conversations.turn(id)).not.toBeNull();
  for (const hash of outcome.files) expect(await store.files.get(hash)).toHaveLength(20_000);
  const user = await store.conversations.ensureUser({ platform: 'test', externalId: 'afterwards' });
  expect(user.id).toBeTruthy();
  await store.close();
  const database = new DatabaseSync(join(folder, 'fromage.db'));
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  database.close();
}

const canMount = (() => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const probe = mkdtempSync(join(tmpdir(), 'fromage-mount-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe]).status === 0;
  if (mounted) spawnSync('umount', [probe]);
  rmSync(probe, { recursive: true, force: true });
  return mounted;
})();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fromage-disk-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a small disk', () => {
  const disk = () => join(folder, 'disk');
  beforeAll(() => {
    mkdirSync(disk());
    if (canMount) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk()]);
  });
  afterAll(() => {
    if (canMount) execFileSync('umount', [disk()]);
  });

  (canMount ? test : test.skip)('full: a clear error, nothing acknowledged is lost (skipped where no file system may be mounted)', async () => {
    const outcome = fill(join(disk(), 'data'));
    expect(outcome.problem).toMatchObject({ code: 'STORE_DISK_FULL', retryable: true });
    expect(outcome.turns.length).toBeGreaterThan(20);
    expect(outcome.files.length).toBeGreaterThan(5);
    const roomy = join(folder, 'roomy');
    cpSync(join(disk(), 'data'), roomy, { recursive: true });
    await expectWhole(roomy, outcome);
  });

  (canMount ? test : test.skip)('full from the start: the store does not open, and says why (skipped where no file system may be mounted)', async () => {
    const outcome = fill(join(disk(), 'another'));
    expect(outcome.problem).toMatchObject({ code: 'STORE_DISK_FULL' });
    expect(outcome.turns).toEqual([]);
  });

  (canMount ? test : test.skip)('full, then freed: the same store goes on (skipped where no file system may be mounted)', async () => {
    rmSync(join(disk(), 'another'), { recursive: true, force: true });
    rmSync(join(disk(), 'data'), { recursive: true, force: true });
    const store = await openStore({ dataDir: join(disk(), 'again') });
    const accept = (i: number) => store.inbox.accept({ platform: 'test', updateId: String(i), lane: 'test:1', payload: 'x'.repeat(5000) });
    const codes = new Set<string>();
    const ballast = join(disk(), 'ballast');
    let next = 0;
    for (let round = 0; round < 3; round++) {
      await accept(next++);
      // Leaves between nothing and a few pages.
      spawnSync('bash', ['-c', `dd if=/dev/zero of=${ballast} bs=1k 2>/dev/null; truncate -s -${round * 6}K ${ballast}`]);
      for (let i = 0; i < 8; i++) await accept(1000 + next + i).catch((error: { code: string }) => codes.add(error.code));
      await expect(store.files.put(new Uint8Array(30_000).fill(round), { mimeType: 'image/png', width: 1, height: 1 })).rejects.toMatchObject({ code: 'STORE_DISK_FULL' });
      rmSync(ballast);
      next += 100;
    }
    expect([...codes]).toEqual(['STORE_DISK_FULL']);
    expect(await accept(next)).toBe('stored');
    await store.close();
  });

  (canMount ? test : test.skip)('read-only: a clear error at once (skipped where no file system may be mounted)', async () => {
    execFileSync('mount', ['-o', 'remount,ro', disk()]);
    const outcome = fill(join(disk(), 'again'));
    expect(outcome.problem).toMatchObject({ code: 'STORE_READ_ONLY' });
    expect(fill(join(disk(), 'new')).problem).toMatchObject({ code: 'STORE_READ_ONLY' });
    execFileSync('mount', ['-o', 'remount,rw', disk()]);
  });
});

test('the largest file size of the process is reached: a clear error, nothing acknowledged is lost', async () => {
  const data = join(folder, 'limited');
  // In units of 1,024 bytes.
  const outcome = fill(data, 'ulimit -f 3000;');
  expect(['STORE_DISK_FULL', 'STORE_DISK']).toContain(outcome.problem?.code);
  expect(outcome.turns.length).toBeGreaterThan(20);
  await expectWhole(data, outcome);
});

(process.getuid?.() === 0 ? test.skip : test)('a folder without the right to write is a clear error (skipped as root, whom no right stops)', async () => {
  const data = join(folder, 'locked');
  mkdirSync(data);
  chmodSync(data, 0o500);
  await expect(openStore({ dataDir: data })).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });
  chmodSync(data, 0o700);
});
