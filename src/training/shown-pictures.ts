// Pictures that were shown earlier in a text, and their [RET]s: constants of a step, from the parameters as
// they are. A gradient through them would need the whole text's backward pass for very little.
import { linear } from '../tensor/index.ts';
import { type Parameters, parameterOf } from './parameters.ts';
import { pictureSlot, type TextSequence } from './sequences.ts';

/**
 * Fills the places of pictures and [RET]s.
 *
 * @param embeds `[sequences, length, embedSize]`, changed
 */
export function placeShown(embeds: Float32Array, length: number, sequences: readonly TextSequence[], parameters: Parameters, retTokenId: number): void {
  const { data: ret } = parameterOf(parameters, 'ret_embedding');
  const width = ret.length;
  sequences.forEach(({ tokenIds, shown = [] }, row) => {
    const at = (position: number) => (row * length + position) * width;
    tokenIds.forEach((id, position) => {
      if (id === retTokenId) embeds.set(ret, at(position));
    });
    // Slots of one picture are neighbours: its tokens `[k, embedSize]` go in as one piece.
    const first = tokenIds.indexOf(pictureSlot);
    if (first < 0) return;
    const tokens = visualTokens(shown, parameters);
    let next = 0;
    tokenIds.forEach((id, position) => {
      if (id === pictureSlot) embeds.set(tokens.subarray(next, (next += width)), at(position));
    });
  });
}

/** `[pictures, k · embedSize]` */
function visualTokens(pictures: readonly Float32Array[], parameters: Parameters): Float32Array {
  const pooled = new Float32Array(pictures.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const picture of pictures) {
    pooled.set(picture, at);
    at += picture.length;
  }
  return linear(pooled, parameterOf(parameters, 'visual_embeddings.weight').data, parameterOf(parameters, 'visual_embeddings.bias').data, pictures.length);
}
