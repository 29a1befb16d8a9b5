export function findServer(): string | null;
export function startPostgres(): Promise<{ readonly url: string; readonly stop: () => Promise<void> } | null>;
