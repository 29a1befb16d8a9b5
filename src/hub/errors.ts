// What can go wrong between here and a hub, in words.
import { HubApiError, InvalidApiResponseFormatError } from '@huggingface/hub';
import { FromageError } from '../errors.ts';

/** Any failure of a request as a FromageError; an abort by the caller stays what it is. */
export function asHubError(thrown: unknown, what: string, endpoint: string, hasToken: boolean): FromageError {
  if (thrown instanceof FromageError) return thrown;
  if (thrown instanceof HubApiError) return statusError(thrown.statusCode, what, endpoint, hasToken, thrown);
  const reason = thrown instanceof Error ? [thrown.message, thrown.cause instanceof Error ? thrown.cause.message : ''].filter(Boolean).join(': ') : String(thrown);
  if (thrown instanceof SyntaxError || thrown instanceof InvalidApiResponseFormatError) {
    return new FromageError({ code: 'HUB_RESPONSE', what: `${endpoint} gave an answer about ${what} that cannot be understood`, why: reason, todo: 'check HF_ENDPOINT, or try again later', cause: thrown });
  }
  return new FromageError({ code: 'HUB_UNREACHABLE', what: `${what} could not be fetched from ${endpoint}`, why: reason, todo: 'check the network, a proxy, HF_ENDPOINT; what came stays, the same command goes on from there', cause: thrown, retryable: true });
}

export function statusError(status: number, what: string, endpoint: string, hasToken: boolean, cause?: unknown): FromageError {
  if (status === 401 || status === 403) {
    return new FromageError({
      code: 'HUB_ACCESS',
      what: `${endpoint} does not give ${what} (status ${status})`,
      why: hasToken ? 'the repository is private or gated and HF_TOKEN does not open it' : 'the repository does not exist, or is private or gated, and there is no HF_TOKEN',
      todo: 'accept the conditions on the model’s page, then set HF_TOKEN to a token with read access',
      cause,
    });
  }
  if (status === 404) return new FromageError({ code: 'HUB_NOT_FOUND', what: `${endpoint} has no ${what}`, todo: 'check the name: it is written owner/name', cause });
  if (status === 408 || status === 429 || status >= 500) {
    return new FromageError({ code: 'HUB_UNREACHABLE', what: `${what} could not be fetched from ${endpoint}`, why: `the server answers with status ${status}`, todo: 'try again later; what came stays, the same command goes on from there', cause, retryable: true });
  }
  return new FromageError({ code: 'HUB_RESPONSE', what: `${endpoint} answers with status ${status} to a question about ${what}`, todo: 'check HF_ENDPOINT', cause });
}
