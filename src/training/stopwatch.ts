// What a run takes: by the clock, and on the processor, which a busy machine changes little.

export interface Taken {
  readonly ms: number;
  /** User and system time of all threads of the process. */
  readonly cpuMs: number;
}

export async function timed(run: () => Promise<unknown>): Promise<Taken> {
  const [began, cpuBegan] = [performance.now(), process.cpuUsage()];
  await run();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpuBegan);
  return { ms, cpuMs: (user + system) / 1000 };
}

/** The upper middle value. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
