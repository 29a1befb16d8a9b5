// Visual Dialog 1.0: dialogues of ten questions on a picture, with a hundred candidate answers for each
// (`visdial_1.0_val.json`), and dense annotations of how good each candidate is.
import { z } from 'zod';
import { FromageError } from '../../errors.ts';
import { readJsonFile } from './read-json.ts';

const index = z.number().int().nonnegative();

const visdialSchema = z.object({
  data: z.object({
    questions: z.array(z.string()),
    answers: z.array(z.string()),
    dialogs: z
      .array(
        z.object({
          image_id: index,
          caption: z.string(),
          dialog: z.array(z.object({ question: index, answer: index.optional(), answer_options: z.array(index).optional(), gt_index: index.optional() })).min(1),
        }),
      )
      .min(1),
  }),
});

const denseSchema = z.array(
  z
    .object({ image_id: index, round_id: z.number().int().positive(), gt_relevance: z.array(z.number().min(0)).optional(), relevance: z.array(z.number().min(0)).optional() })
    .refine(({ gt_relevance, relevance }) => gt_relevance !== undefined || relevance !== undefined, 'has no relevance'),
);

export interface DialogueRound {
  readonly question: string;
  readonly answer: string;
  readonly candidates: readonly string[];
  /** Of the true answer among the candidates. */
  readonly right: number;
  /** One per candidate, where the round was annotated. */
  readonly relevance: readonly number[] | null;
}

export interface PictureDialogue {
  readonly imageId: number;
  readonly caption: string;
  readonly rounds: readonly DialogueRound[];
}

const form = 'visdial_1.0_val.json, which names the right answers';

/** @param dense annotations of single rounds, `visdial_1.0_val_dense_annotations.json` */
export async function readVisdial(file: string, dense: string | undefined, limit = Number.POSITIVE_INFINITY): Promise<PictureDialogue[]> {
  const { data } = await readJsonFile(file, visdialSchema, form);
  const relevances = new Map<string, readonly number[]>();
  if (dense !== undefined) for (const { image_id, round_id, gt_relevance, relevance } of await readJsonFile(dense, denseSchema, 'visdial_1.0_val_dense_annotations.json')) relevances.set(`${image_id}/${round_id}`, gt_relevance ?? relevance ?? []);
  const wrong = (imageId: number, round: number, what: string) => new FromageError({ code: 'EVALUATION_DATA', what: `${file}, image ${imageId}, round ${round}: ${what}`, todo: `give ${form}` });
  return data.dialogs.slice(0, limit).map(({ image_id, caption, dialog }): PictureDialogue => ({
    imageId: image_id,
    caption,
    rounds: dialog.map(({ question, answer, answer_options, gt_index }, i): DialogueRound => {
      const candidates = answer_options?.map((option) => data.answers[option]) ?? [];
      const asked = data.questions[question];
      const said = answer === undefined ? undefined : data.answers[answer];
      if (asked === undefined || said === undefined || candidates.some((each) => each === undefined)) throw wrong(image_id, i + 1, 'a question or answer is not there');
      if (gt_index === undefined || candidates[gt_index] === undefined) throw wrong(image_id, i + 1, 'the right candidate is not named');
      const relevance = relevances.get(`${image_id}/${i + 1}`) ?? null;
      if (relevance && relevance.length !== candidates.length) throw wrong(image_id, i + 1, `${relevance.length} relevances for ${candidates.length} candidates`);
      return { question: asked, answer: said, candidates: candidates as string[], right: gt_index, relevance };
    }),
  }));
}

/** `VisualDialog_val2018_000000185565.jpg`, `COCO_train2014_000000378466.jpg` or `185565.jpg` -> 185565. */
export function imageIdOf(name: string): number | null {
  const digits = /(\d+)\.[a-z]+$/i.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}
