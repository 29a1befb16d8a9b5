// What a small file beside a picture says about it: plain text is the caption, JSON may say more.
import { z } from 'zod';

export interface Sidecar {
  caption: string | null;
  source?: string;
  licence?: string;
  tags?: readonly string[];
  contentClass?: string;
}

const text = z.string().trim().max(2000);

/** Fields of a JSONL line or a JSON sidecar; unknown ones are left alone. */
export const aboutSchema = z.object({
  caption: text.nullish(),
  source: text.nullish(),
  licence: text.nullish(),
  license: text.nullish(),
  tags: z.array(text.max(64)).max(32).nullish(),
  contentClass: text.max(32).nullish(),
});

export function aboutOf(about: z.output<typeof aboutSchema>): Sidecar {
  const { caption, source, licence, license, tags, contentClass } = about;
  return {
    caption: caption || null,
    ...(source ? { source } : {}),
    ...((licence ?? license) ? { licence: (licence ?? license)! } : {}),
    ...(tags ? { tags } : {}),
    ...(contentClass ? { contentClass } : {}),
  };
}

/** @param kind `.txt` or `.json`; what cannot be read says nothing */
export function readSidecar(kind: string, bytes: Uint8Array): Sidecar {
  const content = new TextDecoder().decode(bytes).trim();
  if (kind === '.txt') return { caption: content.slice(0, 2000) || null };
  try {
    return aboutOf(aboutSchema.parse(JSON.parse(content)));
  } catch {
    return { caption: null };
  }
}
