// Kills an ingesting process at random moments, starts it again, and looks what is there in the end.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from '@jest/globals';
import { pack } from 'tar-stream';
import { EmbeddedIndex, openStoredGallery, verifyRows } from '../../src/retrieval/index.ts';
import { openStore } from '../../src/store/index.ts';
import { PictureWorker } from '../../src/vision/index.ts';
import { random } from '../vision/drawn.ts';
import { encodeColours, shifted } from './colours.ts';
import { drawn } from './world.ts';

const program = join(import.meta.dirname, 'processes', 'ingest.ts');

/** `midway`: kills that came before the last picture. Rounds of: ingest, `kill -9` a little after the `acks`-th acknowledgement, check that what was acknowledged is there. */
export async function killTrials(kills: number, pictures: number): Promise<{ midway: number; acknowledgedAtKills: number[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-kill-'));
  const dataDir = join(folder, 'data');
  const tar = join(folder, 'pictures.tar');
  const next = random(11);
  try {
    const archive = pack();
    for (let i = 0; i < pictures; i++) archive.entry({ name: `${String(i).padStart(4, '0')}.png` }, Buffer.from(await drawn(1000 + i)));
    archive.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk as Buffer);
    writeFileSync(tar, Buffer.concat(chunks));

    const acknowledgedAtKills: number[] = [];
    let acknowledged = 0;
    for (let kill = 0; kill < kills; kill++) {
      acknowledged = Math.max(acknowledged, await runUntilKilled(dataDir, tar, 1 + Math.floor(next() * 2), next() * 40));
      acknowledgedAtKills.push(acknowledged);
      const store = await openStore({ dataDir });
      expect(await store.pictures.count()).toBeGreaterThanOrEqual(acknowledged);
      await store.close();
    }
    await runUntilKilled(dataDir, tar, Number.POSITIVE_INFINITY, 0);

    const store = await openStore({ dataDir });
    const worker = new PictureWorker();
    const gallery = await openStoredGallery({ pictures: store.pictures, files: store.files, encoder: 'colours', encode: encodeColours, decoder: worker, createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }), refreshMs: 0 }, shifted(0));
    try {
      expect(await store.pictures.count()).toBe(pictures);
      // Every row has sound bytes, and vectors that are those of a projection made anew; the index holds just these.
      expect(await verifyRows({ pictures: store.pictures, files: store.files, encoder: 'colours', projection: shifted(0) })).toEqual({ pictures, links: 0, dead: 0, damaged: [], withoutVector: [], wrongVector: [] });
      expect(await gallery.verify()).toEqual({ rows: pictures, points: pictures, missing: [], extra: [], different: [] });
      const sources = (await store.pictures.list()).map(({ source }) => source).sort();
      expect(sources).toEqual(Array.from({ length: pictures }, (_, i) => `${String(i).padStart(4, '0')}.png`));
    } finally {
      await gallery.close();
      await worker.close();
      await store.close();
    }
    return { midway: acknowledgedAtKills.filter((count) => count < pictures).length, acknowledgedAtKills };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the last position that was acknowledged before the kill */
async function runUntilKilled(dataDir: string, tar: string, acks: number, delayMs: number): Promise<number> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, dataDir, tar], { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = 0;
  let seen = 0;
  let done = false;
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line === 'done') done = true;
    const position = /^acknowledged (\d+)$/.exec(line)?.[1];
    if (position === undefined) continue;
    last = Number(position);
    seen += 1;
    if (seen === acks) setTimeout(() => child.kill('SIGKILL'), delayMs);
  }
  if (acks === Number.POSITIVE_INFINITY) expect(done).toBe(true);
  return last;
}
