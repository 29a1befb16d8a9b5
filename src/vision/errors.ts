// Errors of the room of pictures: each has a code for the log and a sentence for the person who sent
// the picture.
import { type ErrorFacts, FromageError } from '../errors.ts';

/** A picture, a preset or the process that decodes pictures is at fault. */
export class VisionError extends FromageError {
  constructor(facts: ErrorFacts) {
    super(facts);
  }
}

/** Decoders differ in their words for the same fault; whatever they say, the picture cannot be read. */
export function damaged(cause: unknown): VisionError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!.slice(0, 200);
  return new VisionError({
    code: 'VISION_DAMAGED',
    what: `the picture cannot be decoded: ${reason}`,
    why: 'the file is cut short or damaged',
    todo: 'send the picture again, or save it anew as JPEG or PNG',
    userMessage: 'I could not read that picture: the file seems to be damaged.',
    cause,
  });
}
