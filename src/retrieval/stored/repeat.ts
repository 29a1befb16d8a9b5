// Work that is repeated in the background without ever taking much of the time.

/**
 * Runs `work` again and again, the first time after `intervalMs`, and later when it takes long: it has
 * about a fiftieth of the time at most. Does not keep the program alive.
 *
 * @returns stops it; work under way ends by itself
 */
export function repeat(work: () => Promise<void>, intervalMs: number, onError: (error: unknown) => void): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout;
  const turn = async (): Promise<void> => {
    const began = performance.now();
    await work().catch(onError);
    if (!stopped) timer = setTimeout(turn, Math.max(intervalMs, 50 * (performance.now() - began))).unref();
  };
  timer = setTimeout(turn, intervalMs).unref();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
