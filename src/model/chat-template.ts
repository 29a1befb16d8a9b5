// Lays turns out by a model's own Jinja chat template. What was said never enters the template: it sees
// placeholders, and the pieces are put in their places afterwards, each still known as ours or a user's.
import { Template } from '@huggingface/jinja';
import { FromageError } from '../errors.ts';
import type { PromptSegment, PromptTurn } from './types.ts';

/** What templates may refer to besides the messages. */
export interface ChatTemplateTokens {
  readonly bosToken: string | null;
  readonly eosToken: string | null;
}

const compiled = new Map<string, Template>();
const templateLimit = 64 * 1024;

/**
 * The conversation as segments, ready for the answer: the template's own text is trusted.
 *
 * @throws FromageError `MODEL_CHAT_TEMPLATE` when the template does not parse, fails, or loses a turn
 */
export function layOutChat(template: string, turns: readonly PromptTurn[], tokens: ChatTemplateTokens): PromptSegment[] {
  // Private-use characters with a number between: nothing in a template looks like this.
  const messages = turns.map((turn, index) => ({ role: turn.role, content: `\ue000${index}\ue001` }));
  let rendered: string;
  try {
    rendered = compile(template).render({ messages, add_generation_prompt: true, bos_token: tokens.bosToken ?? '', eos_token: tokens.eosToken ?? '', tools: null });
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw templateError(cause instanceof Error ? cause.message : String(cause));
  }
  const pieces = rendered.split(/\ue000(\d+)\ue001/);
  const found = pieces.filter((_, at) => at % 2 === 1).map(Number);
  if (found.length !== turns.length || found.some((index, at) => index !== at)) throw templateError(`it placed ${found.length} of ${turns.length} messages`);
  return pieces.flatMap((piece, at): readonly PromptSegment[] => {
    if (at % 2 === 0) return piece === '' ? [] : [{ type: 'text', text: piece, trusted: true }];
    const turn = turns[Number(piece)];
    return turn === undefined ? [] : turn.role === 'assistant' ? trimmed(turn.parts) : turn.parts;
  });
}

/** An answer begins with a space in the reference's form (` [RET]`); templates put it right after a line break. */
function trimmed(parts: readonly PromptSegment[]): readonly PromptSegment[] {
  const [first, ...rest] = parts;
  return first?.type === 'text' ? [{ ...first, text: first.text.trimStart() }, ...rest] : parts;
}

function compile(template: string): Template {
  if (template.length > templateLimit) throw templateError(`it has ${template.length} characters, at most ${templateLimit} are read`);
  let ready = compiled.get(template);
  if (ready === undefined) compiled.set(template, (ready = new Template(template)));
  return ready;
}

function templateError(why: string): FromageError {
  return new FromageError({ code: 'MODEL_CHAT_TEMPLATE', what: "the model's chat template cannot be used", why, todo: 'choose the prompt style "qa" or "plain"' });
}
