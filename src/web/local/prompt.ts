// Stored turns of a page conversation as the engine's prompt turns: pictures a person sent as images,
// pictures the bot showed as the [RET] that showed them.
import type { FileStore, Turn } from '../../chat/contracts.ts';
import type { PromptSegment, PromptTurn } from '../../engine/types.ts';

/**
 * @param files bytes of the pictures by hash; one that is gone is left out
 * @returns oldest first; the engine drops the oldest turns that do not fit
 */
export async function promptTurns(turns: readonly Turn[], files: Pick<FileStore, 'get'>): Promise<PromptTurn[]> {
  const prompt: PromptTurn[] = [];
  for (const { role, parts } of turns) {
    const segments: PromptSegment[] = [];
    let afterRet = false;
    for (const part of parts) {
      if (part.type === 'text') segments.push({ type: 'text', text: part.text });
      else if (role === 'assistant') {
        // Several pictures of one [RET] stand side by side.
        if (!afterRet) segments.push({ type: 'text', text: '[RET]', trusted: true });
      } else {
        const bytes = await files.get(part.hash);
        if (bytes) segments.push({ type: 'image', image: { bytes, hash: part.hash } });
      }
      afterRet = part.type === 'image';
    }
    if (segments.length > 0) prompt.push({ role, parts: segments });
  }
  return prompt;
}
