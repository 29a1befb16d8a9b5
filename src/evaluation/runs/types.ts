// What a run of the command takes and gives: figures to print and sections of the report.
import type { ReportSection } from '../report/page.ts';
import type { EvaluationOptions, QueryForm } from '../types.ts';

export interface RunRequest extends EvaluationOptions {
  /** File of the data; the dialogue task has its own. */
  readonly data?: string;
  readonly images?: string;
  /** Id of a loaded adapter that is compared with `adapter`. */
  readonly compare?: string;
  readonly limit?: number;
  /** Captions of each picture that count; all by default. */
  readonly captions?: number;
  readonly query?: QueryForm;
  readonly question?: string;
  /** Visual Dialog's dense relevance annotations, for NDCG. */
  readonly dense?: string;
  /** Dialogue lines of prompting's [RET] figures, or of the dialogue task. */
  readonly retScaleFactor?: number;
  readonly fetchPicture?: (url: string) => Promise<Uint8Array>;
}

export interface RunOutcome {
  /** Figures in snake_case; shares in percent. */
  readonly figures: Readonly<Record<string, unknown>>;
  readonly sections: readonly ReportSection[];
}
