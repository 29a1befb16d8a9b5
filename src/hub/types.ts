// What the hub's room gives and takes: where a hub is, what a repository holds, how far a download is.

export interface HubSettings {
  /** `https://huggingface.co` or another hub of the same form. */
  readonly endpoint: string;
  /** For gated and private repositories; sent to the endpoint alone. */
  readonly token?: string;
  /** The cache that all of Hugging Face's libraries share. */
  readonly cacheDir: string;
  /** True: nothing is asked of the network. */
  readonly offline?: boolean;
  /** A request without a byte for so long is given up and tried again. Default 30,000. */
  readonly stallMs?: number;
  /** Tries in a row that bring nothing before a download fails. Default 6. */
  readonly attempts?: number;
  /** First pause between tries; doubled each time, 30 s at most. Default 500. */
  readonly backoffMs?: number;
}

export interface HubFile {
  /** In the repository, with `/`. */
  readonly path: string;
  readonly size: number;
  /** Name of its blob in the cache: SHA-256 of a large file, git's SHA-1 of a small one. */
  readonly etag: string;
  readonly hash: 'sha256' | 'git-sha1';
}

/** A model repository at one commit; `files` are those that Fromage needs. */
export interface HubRepository {
  readonly id: string;
  /** Commit, 40 hexadecimal digits. */
  readonly revision: string;
  /** As the model card says it; null when it says nothing. */
  readonly licence: string | null;
  readonly gated: boolean;
  readonly files: readonly HubFile[];
}

/** Bytes over all files of a repository, those that were here before counted in. */
export type DownloadProgress = (done: number, total: number, file: string) => void;
