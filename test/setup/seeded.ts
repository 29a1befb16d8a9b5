// fast-check with a seed that is the same in every run of the tests, so that a red run is red again. The
// long runs, and FROMAGE_TEST_SEED=random, search anew each time; a number there plays that seed.
import fc from 'fast-check';

const asked = process.env['FROMAGE_TEST_SEED'] ?? (process.env['FROMAGE_TEST_LONG'] ? 'random' : '20230723');
if (asked !== 'random') fc.configureGlobal({ seed: Number(asked) });

export default fc;
