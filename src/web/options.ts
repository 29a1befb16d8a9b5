// What the web platform needs from the rest of the program.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ChatStore } from '../chat/contracts.ts';
import type { Engine } from '../engine/types.ts';
import type { Logger } from '../log.ts';
import type { Gallery } from '../retrieval/types.ts';
import type { LearningPage } from './learning.ts';

/** Adding pictures by hand: the page's gallery tab and `--gallery` use it. */
export interface PictureAdder {
  /**
   * Takes one picture in (checked, re-encoded without metadata) and makes it retrievable.
   *
   * @throws FromageError when it cannot be decoded or is on the deny list
   */
  addPicture(picture: { readonly bytes: Uint8Array; readonly caption: string; readonly addedBy: string; readonly tenant: string }): Promise<{ readonly id: string; readonly alt: string }>;
  removePicture(id: string): Promise<boolean>;
}

export interface WebOptions {
  readonly engine: Engine;
  /** Null while it is being built or when there is none: answers are words only. */
  readonly gallery: () => Gallery | null;
  readonly pictures: PictureAdder | null;
  /** The adapter that answers now: a request and its searches name it, and end with it. */
  readonly adapterFor?: () => Promise<string | undefined>;
  /** The page of learning is there when this is. */
  readonly learning?: () => LearningPage | null;
  /** Decodes in a process of its own, re-encodes without metadata. @throws FromageError `VISION_…` for what is no picture */
  readonly sanitize: (bytes: Uint8Array) => Promise<{ readonly bytes: Uint8Array; readonly mimeType: string; readonly width: number; readonly height: number }>;
  readonly store: ChatStore;
  readonly host: string;
  readonly port: number;
  readonly apiKey: string | null;
  /** Further Host names that browsers may use. */
  readonly allowedHosts: readonly string[];
  /** What has to be true before `/healthz` answers 200; a short reason otherwise. */
  readonly notReady: () => string | null;
  /** Where Telegram posts its updates, if it does: that path has a secret of its own and no other check. */
  readonly webhook?: { readonly path: string; readonly handler: () => ((request: IncomingMessage, response: ServerResponse) => Promise<void>) | null } | null;
  readonly log: Logger;
}

/** Tenants whose pictures the local page and the API may see. */
export const webTenants: readonly string[] = ['all', 'web'];
