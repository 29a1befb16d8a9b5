// On CI a test that fails is tried twice more before it counts: processes are started, killed and timed
// here on machines that others use too. What failed first is printed all the same. Elsewhere: no retries.
import { jest } from '@jest/globals';

if (process.env.CI) jest.retryTimes(2, { logErrorsBeforeRetry: true });
