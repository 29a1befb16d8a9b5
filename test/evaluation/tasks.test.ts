// Every task on data in its own layout, through an engine whose answers can be worked out on paper.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadCaptions } from '../../src/evaluation/data/captions.ts';
import { readVisdial } from '../../src/evaluation/data/visdial.ts';
import { comparisonTable } from '../../src/evaluation/report/cells.ts';
import { recallPlot, spread } from '../../src/evaluation/report/curves.ts';
import { evaluateCaptioning, evaluateDialogue, evaluateRetrieval, evaluateVisdial, judgeDialogue, loadDialogueSet } from '../../src/evaluation/index.ts';
import { runEvaluation } from '../../src/evaluation/run.ts';
import { loadStories } from '../../src/evaluation/runs/stories.ts';
import { evaluateVist } from '../../src/evaluation/tasks/vist.ts';
import { colourEngine, drawColours, segmentsOf, textOf } from './colour-engine.ts';

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
const folder = mkdtempSync(join(tmpdir(), 'fromage-evaluation-'));
const squares = join(folder, 'squares');
const photos = join(folder, 'photos');
const scenes = join(folder, 'scenes');

beforeAll(async () => {
  await drawColours(squares, { 'red.png': 'red', 'green.png': 'green', 'blue.png': 'blue', 'yellow.png': 'yellow' });
  await drawColours(photos, { '101.png': 'red', '102.png': 'green', '103.png': 'blue', '104.png': 'yellow', '105.png': 'cyan', '106.png': 'magenta', '107.png': 'white' });
  await drawColours(scenes, { 'VisualDialog_val2018_000000000011.png': 'red', 'VisualDialog_val2018_000000000012.png': 'green' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('retrieval', () => {
  const data = { data: fixture('captions.tsv'), images: squares };

  test('recall of both ways, ties against the model', async () => {
    const engine = colourEngine();
    const { pictures, missing } = await loadCaptions(engine, data, {});
    expect(missing).toEqual([]);
    const { figures, ranks } = await evaluateRetrieval(engine, pictures);
    // "a rosy square" names no colour: all four scores are 0. "red and blue": both at 0.707. The second
    // "a green square" finds the green picture before the yellow one.
    expect(ranks.text_to_image.ranks).toEqual([1, 4, 1, 2, 2]);
    // The green picture: its caption was written for the yellow one too. The yellow picture: "red" and
    // "green" both lie at 0.707, as its own caption does.
    expect(ranks.image_to_text.ranks).toEqual([1, 2, 1, 3]);
    expect(figures.text_to_image).toEqual({ r1: 40, r5: 100, r10: 100, median_rank: 2 });
    expect(figures.image_to_text).toEqual({ r1: 50, r5: 100, r10: 100, median_rank: 1.5 });
    expect(figures).toMatchObject({ n_images: 4, n_captions: 5 });
    expect(figures.baselines).toMatchObject({ clip: null, clip_absent: 'the files of the vision encoder were not named' });
    // Only the red picture has a second caption: it is alone.
    expect(figures.baselines?.tf_idf).toMatchObject({ text_to_image: { r1: 100 }, n_captions: 1 });
    expect(engine.embedded.map(textOf)).toContain('a red and blue square');
  });

  test('the form of the request can be chosen', async () => {
    const engine = colourEngine();
    const { pictures } = await loadCaptions(engine, { ...data, limit: 1, captions: 1 }, {});
    expect(pictures.map(({ captions }) => captions)).toEqual([['a red square']]);
    await evaluateRetrieval(engine, pictures, { query: { style: 'chat' } });
    await evaluateRetrieval(engine, [{ ...pictures[0]!, captions: ['A red square .'] }], { query: { style: 'chat' } });
    await evaluateRetrieval(engine, [{ ...pictures[0]!, captions: ['A red square .'] }], {});
    await evaluateRetrieval(engine, pictures, { query: { style: 'chat', template: 'Find $& {}' } });
    expect(engine.embedded.map(textOf)).toEqual(['Show me a picture of a red square', 'Show me a picture of a red square', 'A red square .', 'Find $& a red square']);
  });

  test('pictures that are not there are left out with their captions, and nothing at all is an error', async () => {
    await drawColours(join(folder, 'two'), { 'red.png': 'red', 'blue.png': 'blue' });
    const loaded = await loadCaptions(colourEngine(), { ...data, images: join(folder, 'two') }, {});
    expect(loaded.missing).toEqual(['green.png', 'yellow.png']);
    expect(loaded.pictures.map(({ id }) => id)).toEqual(['red.png', 'blue.png']);
    await expect(loadCaptions(colourEngine(), { ...data, images: photos }, {})).rejects.toMatchObject({ code: 'EVALUATION_DATA' });
    await expect(loadCaptions(colourEngine(), { data: fixture('captions.tsv') }, {})).rejects.toMatchObject({ code: 'EVALUATION_DATA' });
  });

  test('pictures come from a list of addresses; where none can be had the first reason is told', async () => {
    const list = join(folder, 'list.tsv');
    writeFileSync(list, ['name\taddress', ...['red', 'green', 'blue', 'gone'].map((name) => `${name}.png\thttp://pictures.test/${name}.png`)].join('\n'));
    const fetchPicture = async (url: string) => readFileSync(join(squares, url.slice(url.lastIndexOf('/'))));
    const { pictures, missing } = await loadCaptions(colourEngine(), { data: fixture('captions.tsv'), images: list, fetchPicture }, {});
    expect([pictures.map(({ id }) => id), missing]).toEqual([['red.png', 'green.png', 'blue.png'], ['yellow.png']]);
    const refuse = () => Promise.reject(new Error('the host is not public'));
    await expect(loadCaptions(colourEngine(), { data: fixture('captions.tsv'), images: list, fetchPicture: refuse }, {})).rejects.toMatchObject({ code: 'EVALUATION_DATA', why: expect.stringContaining('"red.png" cannot be had: the host is not public') });
    writeFileSync(list, 'red.png\tno address\nblue.png\tnone either\n');
    await expect(loadCaptions(colourEngine(), { data: fixture('captions.tsv'), images: list, fetchPicture }, {})).rejects.toMatchObject({ code: 'EVALUATION_DATA', what: expect.stringContaining('line 2') });
  });

  test('captions of white space ask for nothing: they are left out and counted', async () => {
    const file = join(folder, 'blank.tsv');
    writeFileSync(file, 'caption\timage\n \tred.png\na red square\tred.png\n\tgreen.png\n');
    const { pictures, empty } = await loadCaptions(colourEngine(), { data: file, images: squares }, {});
    expect([pictures.map(({ id, captions }) => [id, captions]), empty]).toEqual([[['red.png', ['a red square']]], 2]);
    writeFileSync(file, 'caption\timage\n \tred.png\n');
    await expect(loadCaptions(colourEngine(), { data: file, images: squares }, {})).rejects.toMatchObject({ code: 'EVALUATION_DATA', what: expect.stringContaining('no captions') });
  });

  test('a worse adapter is told from a better one', async () => {
    const captions = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? 'a red square' : 'a green square'));
    const pictures = captions.map((caption, i) => ({ id: String(i), image: { pooled: Float32Array.of(i % 2 === 0 ? 1 : 0, i % 2, 0.01 * i) }, captions: [caption] }));
    const engine = colourEngine();
    const { result } = await runEvaluation(engine, 'retrieval', { data: fixture('captions.tsv'), images: squares, compare: 'swapped' }, 'test');
    expect(result['comparison']).toMatchObject({ text_to_image: { r1: { significant: expect.any(Boolean) } } });
    const [first, second] = [await evaluateRetrieval(engine, pictures), await evaluateRetrieval(engine, pictures, { adapter: 'swapped' })];
    // Swapped, every red caption finds the fifteen green pictures first.
    expect(Math.min(...second.ranks.text_to_image.ranks)).toBeGreaterThan(15);
    expect(first.figures.text_to_image.r10).toBeGreaterThan(second.figures.text_to_image.r10);
  });
});

describe('vist', () => {
  test('stories in order, from all and from unseen pictures, with and without context', async () => {
    const engine = colourEngine();
    const { stories, pooled, facts } = await loadStories(engine, fixture('vist.story-in-sequence.json'), { images: photos });
    // Story 4 lacks a photo, story 5 was never finished.
    expect(stories.map(({ id }) => id)).toEqual(['1', '2', '3']);
    expect(facts).toEqual({ missing_images: 1, skipped_stories: 2 });
    expect(stories[0]!.steps.map(({ image }) => image)).toEqual(['102', '103', '104', '107', '101']);
    const { ranks, figures } = await evaluateVist(engine, stories, pooled);
    // Each last caption alone names its colour.
    expect(ranks['1_caption']).toMatchObject({ all: { ranks: [1, 1, 1] }, unseen: { ranks: [1, 1, 1] } });
    // Story 1 adds up to (2.28, 2.28, 1.58): white, yellow, cyan and magenta lie nearer than red, green as
    // near; of these, the unseen ones are cyan and magenta.
    expect(ranks['5_captions']).toMatchObject({ all: { ranks: [6, 1, 1] }, unseen: { ranks: [3, 1, 1] } });
    // With pictures (3.57, 4.57, 3.15): the same order, green before red. Story 2: four times magenta's
    // (2.83, 0, 2.83) and (0, 1, 1): white 4.42, magenta 4.71 before cyan 3.41, blue 3.83, red and yellow less
    // (2.83, 2.71). Unseen: white and blue before it. Story 3: green, three times blue, blue once more: (0, 1, 4).
    expect(ranks['5_captions_4_images']).toMatchObject({ all: { ranks: [6, 4, 1] }, unseen: { ranks: [3, 3, 1] } });
    expect(figures.contexts['5_captions']?.unseen).toEqual({ r1: 66.67, r5: 100, r10: 100, median_rank: 1 });
    expect(figures).toMatchObject({ n_stories: 3, n_images: 7 });
    // Only story 3's photo has a caption in another story: "a blue lake" shares "blue" with it, and "we sang
    // all the way" of another photo shares the rarer "all".
    expect(figures.baselines?.tf_idf['1_caption']?.all).toEqual({ r1: 0, r5: 33.33, r10: 100, median_rank: 7 });
  });

  test('without a place of pictures the photos are fetched from where the annotations say', async () => {
    const asked: string[] = [];
    const fetchPicture = async (url: string) => {
      asked.push(url);
      return new Uint8Array(readFileSync(join(photos, url.split('/').at(-1)!)));
    };
    // Two photos have an address; no story is whole with these.
    await expect(loadStories(colourEngine(), fixture('vist.story-in-sequence.json'), { fetchPicture })).rejects.toMatchObject({ code: 'EVALUATION_DATA', what: expect.stringContaining('lacks a picture') });
    expect(asked.sort()).toEqual(['http://pictures.test/101.png', 'http://pictures.test/102.png']);
  });

  test('the prompt alternates captions and pictures; with OPT each caption keeps its </s>', async () => {
    const engine = colourEngine();
    const { stories, pooled } = await loadStories(engine, fixture('vist.story-in-sequence.json'), { images: photos, limit: 1 });
    await evaluateVist(engine, stories, pooled, { contexts: [{ captions: 2, images: 1 }] });
    const [prompt] = engine.embedded;
    expect(segmentsOf(prompt!).map((each) => (each.type === 'text' ? each.text : 'picture'))).toEqual(['Two white birds flew.', 'picture', '</s>', 'At last a red barn.']);
    expect(segmentsOf(prompt!)[2]).toMatchObject({ trusted: true });
    await evaluateVist(engine, stories, pooled, { contexts: [{ captions: 2, images: 1 }], query: { style: 'chat' } });
    expect(segmentsOf(engine.embedded[1]!).map((each) => (each.type === 'text' ? each.text : 'picture'))).toEqual(['Two white birds flew.', 'picture', ' Show me a picture of at last a red barn']);
  });
});

describe('visdial', () => {
  test('answers by likelihood, NDCG over annotated rounds, pictures by dialogue', async () => {
    const engine = colourEngine();
    const dialogues = await readVisdial(fixture('visdial_1.0_val.json'), fixture('visdial_1.0_val_dense_annotations.json'));
    const pooled = new Map([
      [11, Float32Array.of(1, 0, 0)],
      [12, Float32Array.of(0, 1, 0)],
    ]);
    const { figures, ranks } = await evaluateVisdial(engine, dialogues, pooled);
    // Picture 11 is red. Round 1: "it is red" first. Round 2: no, yes and "cannot tell" tie behind "it is red": last.
    // Picture 12 is green. Round 1: "it is green" first. Round 2: green before three that tie: last.
    expect(ranks.image_and_text_to_text.ranks).toEqual([1, 4, 1, 4]);
    // Round 1 of 11: best first, then 0, 0.5, 0 tied, the least relevant first: 1 / (1 + 0.5 / log2 3) = 0.7602.
    // Round 2 of 12: green (0), then 0, 0.2, 0.6: two places, nothing gained.
    expect(figures.image_and_text_to_text).toEqual({ ndcg: 38.01, mrr: 62.5, r1: 50, r5: 100, r10: 100, mean_rank: 2.5 });
    expect(figures).toMatchObject({ n_dialogues: 2, n_questions: 4, n_dense: 2 });
    expect(figures.text_to_image).toMatchObject({ r1: 100, median_rank: 1 });
    expect(engine.scored[1]).toMatchObject({ candidates: [' no.', ' yes.', ' i cannot tell.', ' it is red.'] });
    expect(textOf(engine.scored[1]!.prompt)).toBe('Q: what colour is the wall? A: it is red. Q: is it a bright day? A:');
    expect(textOf(engine.embedded[1]!)).toBe('Q: what colour is the door? A: it is green. Q: is it a bright day? A: no.');
  });

  test('pictures are found by the product with their own length, as in the reference', async () => {
    const dialogues = await readVisdial(fixture('visdial_1.0_val.json'), undefined);
    // Red asks: 1 of the red picture against 2 of the yellow one, whose cosine of 0.71 is the smaller one. Green: 2 of the yellow, 0 of the red.
    const { ranks } = await evaluateVisdial(colourEngine(), dialogues, new Map([[11, Float32Array.of(1, 0, 0)], [12, Float32Array.of(2, 2, 0)]]));
    expect(ranks.text_to_image.ranks).toEqual([2, 1]);
  });

  test('in chat the dialogue asks as it is', async () => {
    const engine = colourEngine();
    const dialogues = await readVisdial(fixture('visdial_1.0_val.json'), undefined, 1);
    await evaluateVisdial(engine, dialogues, new Map([[11, Float32Array.of(1, 0, 0)]]), { query: { style: 'chat' } });
    expect(engine.embedded.map(textOf)).toEqual(['Show me a picture of Q: what colour is the wall? A: it is red. Q: is it a bright day? A: yes.']);
  });

  test('pictures are found by the number in their name; files of another form are refused', async () => {
    const { result, html } = await runEvaluation(colourEngine(), 'visdial', { data: fixture('visdial_1.0_val.json'), images: scenes }, 'test');
    expect(result).toMatchObject({ task: 'visdial', n_dialogues: 2, missing_images: 0, image_and_text_to_text: { ndcg: null, r1: 50 }, sharing: { candidates: 4, largest_difference: 0 } });
    expect(html).toContain('data:image/jpeg;base64,');
    await expect(readVisdial(fixture('vist.story-in-sequence.json'), undefined)).rejects.toMatchObject({ code: 'EVALUATION_DATA' });
    await expect(readVisdial(fixture('visdial_1.0_val.json'), fixture('visdial_1.0_val.json'))).rejects.toMatchObject({ code: 'EVALUATION_DATA' });
  });
});

test('captioning judges what the model says until a picture would come', async () => {
  const seen: Record<string, string> = { '1,0,0': 'a red square', '0,1,0': 'a green square[RET] and more', '0,0,1': 'a square', '1,1,0': 'a green square' };
  const engine = colourEngine((_, picture) => seen[[...picture!].join(',')]!);
  const { pictures } = await loadCaptions(engine, { data: fixture('captions.tsv'), images: squares }, {});
  const { figures, captions } = await evaluateCaptioning(engine, pictures);
  expect(captions.map(({ caption }) => caption)).toEqual(['a red square', 'a green square', 'a square', 'a green square']);
  // Words: all of 3 + 3 + 2 + 3 stand in the references; the third is 2 words for a reference of 5. Lengths 11 against 3 + 3 + 5 + 3.
  expect(figures.bleu1).toBeCloseTo(100 * Math.exp(1 - 14 / 11), 1);
  expect(figures).toMatchObject({ n_images: 4, distinct_captions: 3, word_overlap: { own: 100 } });
  expect(figures.mean_words).toBe(2.8);
});

describe('dialogue', () => {
  test('precision, recall and repetition of answers that are given', async () => {
    const lines = [
      { expect: 'picture' as const, turns: ['Show me a red bus'] },
      { expect: 'picture' as const, turns: ['Show me a green bus', '[RET]', 'And a blue one'] },
      { expect: 'words' as const, turns: ['Hello'] },
      { expect: 'words' as const, turns: ['Who are you?'] },
      { expect: 'words' as const, turns: ['What is a bus?'] },
    ];
    const engine = colourEngine((text) => (text.startsWith('Show me a red') ? 'Here: [RET]' : text === 'Hello' ? '[RET]' : text.startsWith('Who') ? 'I am it. I am it.' : 'A bus is a car.'));
    const { figures, lines: judged } = await evaluateDialogue(engine, lines);
    // Pictures came for the first and the third.
    expect(judged.map(({ picture }) => picture)).toEqual([true, false, true, false, false]);
    expect(figures).toMatchObject({ ret_precision: 50, ret_recall: 50, ret_f1: 50, accuracy: 60, n: 5, n_asking: 2 });
    // i am it | am it i | it i am | i am it: a quarter, of three answers in words.
    expect(figures.repetition).toBeCloseTo(100 / 12, 1);
    expect(figures.mean_words).toBeCloseTo((5 + 6 + 5) / 3, 1);
    expect(figures.baselines).toMatchObject({ always: { ret_precision: 40, ret_recall: 100, accuracy: 40 }, never: { accuracy: 60 }, coin: { accuracy: 52 } });
    // A shown picture stands in the prompt as our token.
    expect(segmentsOf(engine.generated[1]!)[1]).toEqual({ type: 'text', text: '[RET]', trusted: true });
  });

  test('without any picture there is no precision', () => {
    const { figures } = judgeDialogue([{ expect: 'picture', turns: ['Show me'] }], [{ text: '', rets: [], retProbability: 0 }]);
    expect(figures).toMatchObject({ ret_precision: null, ret_recall: 0, ret_f1: null, empty_answers: 1 });
  });

  test('the set that comes with the project is well-formed, balanced everywhere, and says nothing twice', async () => {
    const lines = await loadDialogueSet();
    expect(lines.length).toBeGreaterThanOrEqual(120);
    expect(lines.filter(({ expect: wanted }) => wanted === 'picture').length).toBe(lines.length / 2);
    // The first few (`--limit`) are as balanced as the whole.
    expect(lines.slice(0, 10).filter(({ expect: wanted }) => wanted === 'picture').length).toBe(5);
    expect(new Set(lines.map(({ turns }) => turns.join('|').toLowerCase())).size).toBe(lines.length);
    await expect(loadDialogueSet(fixture('captions.tsv'))).rejects.toMatchObject({ code: 'EVALUATION_DATA' });
  });
});

test('prompting draws recall against context and [RET] against its factor', async () => {
  const engine = colourEngine((text) => (/show|see|find/i.test(text) ? '[RET]' : 'Well.'));
  const { result, html } = await runEvaluation(engine, 'prompting', { data: fixture('vist.story-in-sequence.json'), images: photos, samples: 50 }, 'test');
  expect(Object.keys(result['captions'] as object)).toEqual(['1_caption', '2_captions', '3_captions', '4_captions', '5_captions']);
  expect(Object.keys(result['images'] as object)).toEqual(['5_captions', '5_captions_1_image', '5_captions_2_images', '5_captions_3_images', '5_captions_4_images']);
  // All three right with one caption; story 1 is lost with five.
  expect(result).toMatchObject({ captions: { '1_caption': { r1: 100 }, '5_captions': { r1: 66.67 } }, most_against_one_caption: { r1: { difference: -33.33 } } });
  expect(Object.keys(result['ret_scale_factor'] as object)).toEqual(['1', '2', '4', '8', '0.25', '0.5']);
  expect(html.match(/<svg/g)?.length).toBe(3);
  const flat = await runEvaluation(engine, 'prompting', { data: fixture('captions.tsv'), images: squares, samples: 50 }, 'test');
  // Only the red picture has two captions.
  expect(flat.result).toMatchObject({ captions: { '2_captions': { r1: 100 } }, images: {} });
});

test('the report of every task has tables and plots, whose points are percentages worked out by hand', async () => {
  const engine = colourEngine((text) => (/show|see|find/i.test(text) ? '[RET]' : 'a red square'));
  const reports = { retrieval: [fixture('captions.tsv'), squares], captioning: [fixture('captions.tsv'), squares], vist: [fixture('vist.story-in-sequence.json'), photos], visdial: [fixture('visdial_1.0_val.json'), scenes], dialogue: [] } as const;
  for (const [task, [data, images]] of Object.entries(reports)) {
    const { html } = await runEvaluation(engine, task as keyof typeof reports, { samples: 10, ...(data && images ? { data, images } : {}) }, 'test');
    expect([task, /<table/.test(html), /<polyline/.test(html)]).toEqual([task, true, true]);
  }
  const [own, chance] = recallPlot({ 'this model': [1, 3, 3, 4] }, 4).lines;
  expect(own!.points).toEqual([[1, 25], [2, 25], [3, 75], [4, 100]]);
  expect(chance!.points).toEqual([[1, 25], [2, 50], [3, 75], [4, 100]]);
  const [line, ...others] = spread({ asked: [0, 0.5, 0.52, 1], none: [] }, 1);
  expect(others).toEqual([]);
  expect([0, 10, 11, 20].map((i) => line!.points[i]![1])).toEqual([100, 75, 25, 25]);
});

test('a report holds everything itself and runs nothing', async () => {
  const { html } = await runEvaluation(colourEngine(), 'retrieval', { data: fixture('captions.tsv'), images: squares }, 'npx <script>alert(1)</script>');
  expect(html).not.toMatch(/<script|<link|<iframe|src="(?!data:)|href=|url\(/);
  expect(html).toContain("default-src 'none'");
  expect(html).toContain('&#60;script&#62;');
  expect(html).toContain('CLIP’s own similarity (none: the files of the vision encoder were not named)');
});

test('two adapters are set side by side with a verdict in words', () => {
  const side = (difference: number, low: number, high: number) => ({ first: 30, second: 30 + difference, difference, plus_minus: (high - low) / 2, low, high, significant: low > 0 || high < 0 });
  const { rows } = comparisonTable({ r1: side(2.1, 1.3, 2.9), r5: side(-4, -9.5, 1), cider: side(-5.04, -8.2, -1.6) }, ['first', 'second']);
  expect(rows).toEqual([
    ['R@1', '30.0', '32.1', '+2.1', '+1.3 to +2.9', 'better by 2.1 ± 0.8'],
    ['R@5', '30.0', '26.0', '−4.0', '−9.5 to +1.0', 'no difference can be told (± 5.3)'],
    ['CIDEr', '30.0', '25.0', '−5.0', '−8.2 to −1.6', 'worse by 5.0 ± 3.3'],
  ]);
});
