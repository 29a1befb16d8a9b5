// Talks to the server: the visitor's id, the API key where one is asked for, and streams of events.

export interface PagePicture {
  readonly id?: string;
  /** Its person has said that it is not what was wanted. */
  readonly wrong?: boolean;
  readonly url: string;
  readonly alt: string;
  readonly credit: string;
  readonly score?: number;
}

export type PageEvent =
  | { readonly type: 'question'; readonly turnId: string }
  | { readonly type: 'queued'; readonly position: number }
  | { readonly type: 'started'; readonly promptTokens: number; readonly droppedTurns: number }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'pictures'; readonly pictures: readonly PagePicture[] }
  | { readonly type: 'no_picture'; readonly reason: string }
  | { readonly type: 'end'; readonly answerId: string; readonly reason: string; readonly usage: { readonly newTokens: number; readonly totalMs: number } }
  | { readonly type: 'error'; readonly message: string; readonly code: string };

export interface PageTurn {
  readonly role: 'user' | 'assistant';
  readonly parts: readonly ({ readonly type: 'text'; readonly text: string } | ({ readonly type: 'image' } & PagePicture))[];
  readonly answerId: string | null;
  readonly vote: 'up' | 'down' | null;
}

function visitor(): string {
  const known = localStorage.getItem('fromage-visitor');
  if (known) return known;
  const made = crypto.randomUUID?.() ?? fallbackUuid();
  localStorage.setItem('fromage-visitor', made);
  return made;
}

/** crypto.randomUUID exists on secure origins only; a plain-HTTP address in a home network is none. */
function fallbackUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 15) | 64;
  bytes[8] = (bytes[8]! & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const key = sessionStorage.getItem('fromage-key');
  const response = await fetch(path, {
    ...init,
    headers: {
      'x-fromage-visitor': visitor(),
      ...(init.body ? { 'content-type': 'application/json' } : {}),
      ...(key ? { authorization: `Bearer ${key}` } : {}),
    },
  });
  if (response.status === 401) {
    const given = prompt('This server asks for its API key (FROMAGE_API_KEY):');
    if (given) {
      sessionStorage.setItem('fromage-key', given.trim());
      return call(path, init);
    }
  }
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

async function reason(response: Response): Promise<string> {
  const body = (await response.json().catch(() => null)) as { error?: { message?: string } } | null;
  return body?.error?.message ?? `the server answered ${response.status}`;
}

/** The events of a server-sent stream, one by one. */
export async function* events(response: Response): AsyncGenerator<PageEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split('\n\n');
    buffer = blocks.pop() ?? '';
    for (const block of blocks) if (block.startsWith('data: ')) yield JSON.parse(block.slice(6)) as PageEvent;
  }
}
