// How far a source was worked off, as the text that the store keeps: a position in this very source.

export function cursorAt(fingerprint: string, position: number): string {
  return JSON.stringify({ fingerprint, position });
}

/** 0 where there is no cursor, or one of a source that has changed since. */
export function positionIn(cursor: string | null, fingerprint: string): number {
  if (cursor === null) return 0;
  const kept = JSON.parse(cursor) as { readonly fingerprint?: string; readonly position?: number };
  return kept.fingerprint === fingerprint && Number.isSafeInteger(kept.position) ? (kept.position ?? 0) : 0;
}
