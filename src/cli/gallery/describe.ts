// Words for a picture that came without any: the model says what it sees.
import type { Engine } from '../../engine/types.ts';

const question = 'Describe this picture in one sentence.';

/** The first sentence of the model's answer; '' when it has none. */
export async function describePicture(engine: Engine, bytes: Uint8Array): Promise<string> {
  const turns = [{ role: 'user', parts: [{ type: 'image', image: { bytes } }, { type: 'text', text: question }] }] as const;
  let text = '';
  for await (const event of engine.generate({ prompt: { kind: 'turns', turns }, decoding: { maxNewTokens: 40, maxNumRets: 0 } })) if (event.type === 'text') text += event.text;
  return /^[^.!?\n]*[.!?]?/.exec(text.trim())?.[0].trim() ?? '';
}
