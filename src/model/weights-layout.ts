// Which tensors of a checkpoint make up a matrix or vector of the graph. An architecture lists its own
// (graphs/*.ts); language-model-weights.ts finds, checks and, where needed, converts them.

/** Rows taken from one tensor `[rows, columns]`. */
export interface MatrixPart {
  readonly tensor: string;
  readonly rows: number;
  /** Head width of rows that GGUF has interleaved, to be put back in order. */
  readonly interleaved?: number;
}

/** A matrix of the graph: parts stacked by rows. */
export interface MatrixSpec {
  readonly parts: readonly MatrixPart[];
  readonly columns: number;
  /** `linear` takes the bits asked for, `head` never less than 8, `float32` is never quantised. */
  readonly precision: 'linear' | 'head' | 'float32';
}

/** A short vector of the graph: parts joined end to end. */
export interface VectorPart {
  readonly tensor: string;
  readonly length: number;
  /** As in MatrixPart: the bias of interleaved rows. */
  readonly interleaved?: number;
}

export interface WeightsLayout {
  readonly matrices: ReadonlyMap<string, MatrixSpec>;
  readonly vectors: ReadonlyMap<string, readonly VectorPart[]>;
  /** The input embedding table `[vocabSize, embedSize]`. */
  readonly embedding: string;
}
