// The three ways in which turns become one interleaved prompt. A style gives runs: the texts of one run
// are encoded as one string, and images stand between runs.
import { FromageError } from '../errors.ts';
import { layOutChat, type ChatTemplateTokens } from './chat-template.ts';
import type { EngineImage, PromptSegment, PromptStyle, PromptTurn } from './types.ts';

export interface TextRunPiece {
  readonly text: string;
  readonly trusted: boolean;
}

/** A stretch of text encoded as one string, or an image. */
export type PromptRun = { readonly pieces: readonly TextRunPiece[] } | { readonly image: EngineImage };

export interface PromptStyleContext extends ChatTemplateTokens {
  readonly chatTemplate: string | null;
}

/**
 * @param turns the last one is usually a user's; the prompt ends where the answer begins
 * @throws FromageError `MODEL_CHAT_TEMPLATE` for style `chat` without a usable template
 */
export function layOutTurns(turns: readonly PromptTurn[], style: PromptStyle, context: PromptStyleContext): PromptRun[] {
  switch (style) {
    case 'qa':
      return turns.flatMap((turn) => runsOf(questionAndAnswer(turn)));
    case 'plain':
      return turns.flatMap((turn, index) => runsOf(index < turns.length - 1 ? [...turn.parts, ours('\n')] : turn.parts));
    case 'chat': {
      if (context.chatTemplate === null) throw new FromageError({ code: 'MODEL_CHAT_TEMPLATE', what: 'the model has no chat template', todo: 'choose the prompt style "qa" or "plain"' });
      return runsOf(layOutChat(context.chatTemplate, turns, context));
    }
    default:
      throw new FromageError({ code: 'MODEL_CHAT_TEMPLATE', what: `there is no prompt style ${JSON.stringify(style satisfies never)}`, todo: 'choose "qa", "chat" or "plain"' });
  }
}

/**
 * The authors' demo: pictures that come first stand before the `Q: `; a turn of pictures alone has no
 * question, so that the model describes them; an answer ends with a line break.
 */
function questionAndAnswer(turn: PromptTurn): PromptSegment[] {
  if (turn.role === 'assistant') {
    const [first, ...rest] = turn.parts;
    const parts = first?.type === 'text' && !/^\s/.test(first.text) ? [{ ...first, text: ` ${first.text}` }, ...rest] : turn.parts;
    return [...parts, ours('\n')];
  }
  const at = turn.parts.findIndex((part) => part.type === 'text' && part.text !== '');
  if (at < 0) return [...turn.parts];
  return [...turn.parts.slice(0, at), ours('Q: '), ...turn.parts.slice(at), ours('\nA:')];
}

/** Texts that touch become one run. */
export function runsOf(segments: readonly PromptSegment[]): PromptRun[] {
  const runs: PromptRun[] = [];
  let pieces: TextRunPiece[] = [];
  const end = (): void => {
    if (pieces.length > 0) runs.push({ pieces });
    pieces = [];
  };
  for (const segment of segments) {
    if (segment.type === 'text') {
      if (segment.text !== '') pieces.push({ text: segment.text, trusted: segment.trusted ?? false });
    } else {
      end();
      runs.push({ image: segment.image });
    }
  }
  end();
  return runs;
}

function ours(text: string): PromptSegment {
  return { type: 'text', text, trusted: true };
}
