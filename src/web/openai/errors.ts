// Errors in the form that OpenAI's clients read.
import { type FromageError, asFromageError } from '../../errors.ts';

export interface ApiError {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string };
}

export function apiError(message: string, type: string, code: string, param: string | null = null): ApiError {
  return { error: { message, type, param, code } };
}

/** HTTP status of an error by its code; what is not the caller's mistake is 500. */
export function statusOf(error: FromageError): number {
  if (error.code === 'WEB_BAD_REQUEST') return 400;
  if (error.code === 'WEB_NOT_FOUND') return 404;
  if (error.code.startsWith('VISION_')) return 400;
  if (error.code === 'LEARNING_ADAPTER') return 404;
  if (error.code === 'LEARNING_REFUSED' || error.code === 'LEARNING_DAMAGED') return 409;
  if (error.code === 'ENGINE_BUSY') return 429;
  return error.retryable ? 503 : 500;
}

/** Status and body of whatever was thrown. Internal details stay in the log. */
export function describeError(thrown: unknown): { readonly status: number; readonly body: ApiError; readonly error: FromageError } {
  const error = asFromageError(thrown);
  const status = statusOf(error);
  const message = status === 500 ? (error.userMessage ?? 'something failed inside the server; its log says more') : [error.what, error.why, error.todo].filter(Boolean).join('; ');
  return { status, body: apiError(message, status < 500 ? 'invalid_request_error' : 'server_error', error.code.toLowerCase()), error };
}
