// How an answer ends besides the model's own end tokens: a matter of the prompt's style.
import type { Prompt, PromptStyle } from './types.ts';

export interface AnswerEnds {
  /** Texts that end the answer once something other than white space has been said. */
  readonly stops: readonly string[];
  /** True: nothing is said after the last [RET] that is served. */
  readonly atLastRet: boolean;
}

/**
 * In `qa` and `plain` the next line would be somebody else's; `chat` ends with the model's end-of-turn
 * token; segments are continued as they are. Adapters learn captions that end with [RET], so what a turn
 * says after its last picture is babble.
 * Source: reference `generate_for_images_and_texts` (cut at the first newline unless it comes first; text
 * after the last served [RET] is dropped).
 */
export function answerEnds(prompt: Prompt, modelStyle: PromptStyle): AnswerEnds {
  if (prompt.kind === 'segments') return { stops: [], atLastRet: false };
  const style = prompt.style ?? modelStyle;
  switch (style) {
    case 'qa':
    case 'plain':
      return { stops: ['\n'], atLastRet: true };
    case 'chat':
      return { stops: [], atLastRet: true };
    default:
      return style satisfies never;
  }
}
