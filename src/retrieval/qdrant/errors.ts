// What can go wrong with a Qdrant server, in our words. All of it may pass: conversations go on in words
// meanwhile, and the index is brought level with the database when the server answers again.
import { FromageError } from '../../errors.ts';

/** HTTP status of a refusal; null when there was no answer. */
export function statusOf(error: unknown): number | null {
  const { status, message = '' } = error as { status?: unknown; message?: string };
  if (typeof status === 'number') return status;
  const found = /^Unexpected Response: (\d{3})/.exec(message);
  return found ? Number(found[1]) : null;
}

export function asQdrantError(error: unknown): FromageError {
  if (error instanceof FromageError) return error;
  const status = statusOf(error);
  const common = { retryable: true, cause: error, userMessage: 'I cannot look at my pictures right now.' };
  if (status === 401 || status === 403) return new FromageError({ code: 'RETRIEVAL_QDRANT_KEY', what: `the Qdrant server refuses the key (${status})`, todo: 'set QDRANT_API_KEY to a key that may read and write', ...common });
  if (status === 404) return new FromageError({ code: 'RETRIEVAL_QDRANT_LOST', what: 'the Qdrant server has lost the collection', todo: 'nothing: it is filled again from the database', ...common });
  if (status !== null) return new FromageError({ code: 'RETRIEVAL_QDRANT', what: `the Qdrant server answers ${status}`, todo: 'look at the log of Qdrant', ...common });
  const { name, message, cause } = error as Error;
  const why = /timeout/i.test(name) || /abort/i.test(message) ? 'it did not answer in time' : ((cause as { code?: string } | undefined)?.code ?? message);
  return new FromageError({ code: 'RETRIEVAL_QDRANT_DOWN', what: 'the Qdrant server cannot be reached', why, todo: 'start Qdrant, or check QDRANT_URL', ...common });
}
