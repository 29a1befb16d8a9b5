// The child process that decodes pictures for `PictureWorker`: one job at a time from the parent, its
// result or its error back. It watches its own memory and ends when the parent goes away.
import { asFromageError } from '../errors.ts';
import { decodePicture } from './decode.ts';
import { perceptualHash } from './perceptual-hash.ts';
import { preprocessPicture } from './preprocess.ts';
import { makeThumbnail, sanitizePicture } from './sanitize.ts';
import { memoryExitCode, type PictureAnswer, type PictureJob } from './worker-protocol.ts';

const maxResidentBytes = Number(process.argv[2]);

function perform(job: PictureJob) {
  switch (job.kind) {
    case 'decode':
      return decodePicture(job.bytes, job.options);
    case 'preprocess':
      return preprocessPicture(job.bytes, job.options.preset, job.options.limits);
    case 'sanitize':
      return sanitizePicture(job.bytes, job.options);
    case 'thumbnail':
      return makeThumbnail(job.bytes, job.options.side, job.options.limits);
    case 'perceptualHash':
      return perceptualHash(job.bytes, job.options);
  }
}

process.on('message', async (job: PictureJob) => {
  const answer: PictureAnswer = await perform(job).then(
    (result) => ({ id: job.id, result }),
    (thrown: unknown) => ({ id: job.id, error: asFromageError(thrown).toPlain() }),
  );
  process.send?.(answer);
});
process.on('disconnect', () => process.exit(0));

// Decoders work in threads of their own, so this clock ticks while they fill the memory.
setInterval(() => {
  if (process.memoryUsage.rss() > maxResidentBytes) process.exit(memoryExitCode);
}, 50).unref();
