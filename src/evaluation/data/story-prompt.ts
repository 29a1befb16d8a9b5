// The prompt that asks for a story's last picture, with as much of the story before it as is wanted.
import type { EngineInfo, PromptSegment, PromptStyle } from '../../engine/types.ts';
import type { KeyedPrompt } from '../types.ts';
import { captionQuery } from './embed.ts';
import { hashFeatures } from './pool.ts';
import type { Story } from './vist.ts';

export interface StoryContext {
  /** The last so many captions, 1 to 5. */
  readonly captions: number;
  /** The last so many of the pictures before the one that is asked for, 0 to 4. */
  readonly images: number;
}

/**
 * Captions and pictures alternate as in the story. `plain` and `qa` put [RET] right after the last caption,
 * and with OPT each caption keeps its `</s>`, as in the authors' evaluation; `chat` asks "Show me a picture
 * of" the last caption in one user's turn, after the story so far.
 *
 * @param pooled features of the story's pictures by id
 */
export function storyPrompt({ steps }: Story, context: StoryContext, pooled: ReadonlyMap<string, Float32Array>, { family, promptStyle }: Pick<EngineInfo, 'family' | 'promptStyle'>, style: PromptStyle = promptStyle): KeyedPrompt {
  const last = steps.length - 1;
  const parts: PromptSegment[] = [];
  const names: string[] = [];
  const add = (segment: PromptSegment, name: string) => {
    parts.push(segment);
    names.push(name);
  };
  steps.forEach(({ caption, image }, i) => {
    if (i > last - context.captions) {
      if (i === last && style === 'chat') {
        const { prompt } = captionQuery(caption, {}, 'chat');
        const asked = prompt.kind === 'turns' ? prompt.turns[0]?.parts[0] : undefined;
        if (asked?.type === 'text') add({ ...asked, text: `${parts.length > 0 ? ' ' : ''}${asked.text}` }, asked.text);
      } else if (style === 'chat') add({ type: 'text', text: `${parts.length > 0 ? ' ' : ''}${caption}` }, caption);
      else {
        if (family === 'opt' && names.some((name) => !name.startsWith('picture '))) add({ type: 'text', text: '</s>', trusted: true }, '');
        add({ type: 'text', text: caption }, caption);
      }
    }
    const features = pooled.get(image);
    if (i < last && i >= last - context.images && features) add({ type: 'image', image: { pooled: features } }, `picture ${hashFeatures(features)}`);
  });
  const prompt: KeyedPrompt['prompt'] = style === 'chat' ? { kind: 'turns', style, turns: [{ role: 'user', parts }] } : { kind: 'segments', segments: parts };
  return { key: JSON.stringify(['story', style, names]), prompt };
}
