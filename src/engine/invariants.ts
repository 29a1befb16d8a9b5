// What must hold between two steps of the engine, checked on a snapshot; every violation is listed. Tests
// switch it on; in service it is off.
import type { KvCache } from '../model/types.ts';
import type { Sequence } from './sequence.ts';
import type { SlotTable } from './slots.ts';

export interface EngineSnapshot {
  readonly running: readonly Sequence[];
  readonly queued: readonly Sequence[];
  readonly slots: SlotTable<Sequence>;
  readonly cache: KvCache;
  readonly maxRows: number;
}

/** Sentences about what is wrong; empty when all is well. */
export function violations({ running, queued, slots, cache, maxRows }: EngineSnapshot): readonly string[] {
  const found: string[] = [];
  const owners = slots.owners();
  const check = (holds: boolean, sentence: string): void => {
    if (!holds) found.push(sentence);
  };
  check(running.length <= maxRows, `${running.length} sequences run, ${maxRows} may`);
  check(owners.filter((owner) => owner !== undefined).length === running.length, 'slots are held by others than the running sequences');
  for (const sequence of running) {
    const slot = owners.indexOf(sequence);
    check(slot >= 0 && owners.lastIndexOf(sequence) === slot, 'a running sequence does not hold exactly one slot');
    if (slot < 0 || sequence.prepared === null) continue;
    const { prompt } = sequence.prepared;
    const columns = cache.length(slot);
    check(sequence.status === 'prefilling' || sequence.status === 'decoding', `a running sequence is ${sequence.status}`);
    check((sequence.status === 'decoding') === slot < slots.decoding, 'decoding sequences are not the first slots');
    if (sequence.status === 'prefilling') check(columns < prompt.length, 'a prompt that is read to its end still prefills');
    else check(columns === prompt.length + sequence.fedKeys.length, `the cache holds ${columns} columns for ${prompt.length} + ${sequence.fedKeys.length} positions`);
    check(sequence.status === 'prefilling' || sequence.nextToken !== null, 'a decoding sequence has no next token');
  }
  owners.forEach((owner, slot) => check(owner !== undefined || cache.length(slot) === 0, `slot ${slot} is free and holds ${cache.length(slot)} columns`));
  for (const sequence of queued) {
    check(sequence.status === 'waiting', `a queued sequence is ${sequence.status}`);
    check(!owners.includes(sequence), 'a queued sequence holds a slot');
  }
  return found;
}

/** @throws Error with every violation */
export function assertInvariants(snapshot: EngineSnapshot): void {
  const found = violations(snapshot);
  if (found.length > 0) throw new Error(`the engine is inconsistent: ${found.join('; ')}`);
}
