// The structured logger of the whole program. Secrets and message text are redacted by path here, so
// that a careless `log.info({ message })` cannot leak; callers still pass ids and counts, not content.
import { type Logger, pino } from 'pino';

export type { Logger };

const secretPaths = ['token', 'botToken', 'apiKey', 'authorization', 'password', 'secret', 'url', 'href'];
const contentPaths = ['text', 'content', 'caption', 'prompt', 'message.text', 'message.content', 'body', 'payload'];
const paths = [...secretPaths, ...contentPaths].flatMap((path) => [path, `*.${path}`, `*.*.${path}`]);

/**
 * Makes a logger that writes JSON lines to standard error.
 *
 * @param level pino's level; `FROMAGE_LOG` decides when none is given
 */
export function createLogger(level: string = process.env.FROMAGE_LOG ?? 'info'): Logger {
  return pino({ level, base: null, redact: { paths, censor: '[redacted]' } }, pino.destination({ dest: 2, sync: true }));
}

/** The process-wide logger; rooms take a child of it (`log.child({ room: 'engine' })`). */
export const log: Logger = createLogger();
