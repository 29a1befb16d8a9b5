// How a text that names a picture is asked for, in the words each prompt style was trained with: one
// place for search, embeddings, evaluation and calibration, so that their vectors are comparable.
import { requestText } from '../model/index.ts';
import type { Prompt, PromptStyle } from './types.ts';

/**
 * The prompt whose [RET] embedding stands for a text. `chat` asks in a user's turn, as the starter's
 * adapter has learnt it (the caption as the object of the request); `qa` and `plain` put [RET] right after the caption, as in the paper's training.
 */
export function retrievalPrompt(text: string, style: PromptStyle): Prompt {
  if (style === 'chat') {
    return { kind: 'turns', style, turns: [{ role: 'user', parts: [{ type: 'text', text: requestText('Show me a picture of {}', text) }] }] };
  }
  return { kind: 'segments', segments: [{ type: 'text', text: text.trim() }] };
}
