// Reads an answer to its end, and makes the requests that tests ask again and again.
import { expect } from '@jest/globals';
import type { Engine, GenerateEvent, GenerateRequest, Prompt, PromptSegment } from '../../src/engine/types.ts';

type EventOf<T extends GenerateEvent['type']> = Extract<GenerateEvent, { type: T }>;

export interface Collected {
  readonly events: readonly GenerateEvent[];
  /** Pieces of text joined. */
  readonly text: string;
  readonly rets: readonly EventOf<'ret'>[];
  readonly started: EventOf<'started'> | undefined;
  readonly end: EventOf<'end'>;
}

export async function collect(engine: Pick<Engine, 'generate'>, request: GenerateRequest): Promise<Collected> {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(request)) events.push(event);
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('the stream did not end with "end"');
  return {
    events,
    text: events.map((event) => (event.type === 'text' ? event.text : '')).join(''),
    rets: events.filter((event) => event.type === 'ret'),
    started: events.find((event) => event.type === 'started'),
    end,
  };
}

export function text(value: string): PromptSegment {
  return { type: 'text', text: value };
}

export function asked(...parts: readonly (PromptSegment | string)[]): Prompt {
  return { kind: 'turns', turns: [{ role: 'user', parts: parts.map((part) => (typeof part === 'string' ? text(part) : part)) }] };
}

/** Equal up to float32 rounding in another order: 1e-4 of the largest entry, the bar of the golden numbers. */
export function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const largest = expected.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  const worst = expected.reduce((error, value, i) => Math.max(error, Math.abs(value - actual[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(1e-4 * largest);
}
