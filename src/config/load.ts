// Reads the environment (and `.env`) once, checks it against the schema and freezes the result. All
// mistakes are reported together, so that a user mends them in one go.
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { type Environment, type EnvironmentName, environmentSchema } from './schema.ts';

/** The checked environment; `FROMAGE_DATA_DIR` is absolute. */
export type Config = Readonly<Environment>;

/** `.env` of a folder as plain values; an absent file is empty. The process's own environment wins over it. */
export function readEnvironmentFile(folder: string): Record<string, string | undefined> {
  const file = resolve(folder, '.env');
  return existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
}

/**
 * Checks the variables that Fromage knows.
 *
 * @param variables `{ ...readEnvironmentFile(cwd), ...process.env }`
 * @throws FromageError `CONFIG_INVALID` that names each wrong variable, what it must be, and unknown
 *   `FROMAGE_*` names with the nearest known one
 */
export function loadConfig(variables: Readonly<Record<string, string | undefined>>, folder: string = process.cwd()): Config {
  const known = Object.keys(environmentSchema.shape) as EnvironmentName[];
  const values: Record<string, string> = {};
  const problems: string[] = [];
  for (const name of known) {
    const value = variables[name] || fromFile(name, variables, problems);
    if (value !== undefined && value !== '') values[name] = value;
  }
  for (const name of Object.keys(variables)) {
    if (!name.startsWith('FROMAGE_') || name.startsWith('FROMAGE_TEST_')) continue;
    if (!known.includes(name.replace(/_FILE$/, '') as EnvironmentName)) problems.push(`${name} is not known${nearest(name, known)}`);
  }
  const checked = environmentSchema.safeParse(values);
  if (!checked.success) {
    for (const issue of checked.error.issues) problems.push(`${issue.path.join('.')}: ${issue.message}`);
  }
  if (problems.length > 0 || !checked.success) {
    throw new FromageError({
      code: 'CONFIG_INVALID',
      what: `the environment is not right: ${problems.join('; ')}`,
      todo: 'mend these variables (in the environment or in .env); "fromage start --help" lists them all',
    });
  }
  const config = checked.data;
  requireTogether(config);
  const dataDir = isAbsolute(config.FROMAGE_DATA_DIR) ? config.FROMAGE_DATA_DIR : resolve(folder, config.FROMAGE_DATA_DIR);
  return Object.freeze({ ...config, FROMAGE_DATA_DIR: dataDir });
}

/** Each variable with its description and default, secrets marked: for help texts and docs. */
export function describeConfig(): readonly { name: string; description: string; fallback: string; secret: boolean }[] {
  return Object.entries(environmentSchema.shape).map(([name, schema]) => {
    const fallback = schema instanceof z.ZodDefault ? (schema.def.defaultValue as unknown) : undefined;
    return { name, description: schema.description ?? '', fallback: fallback === undefined ? '' : String(fallback), secret: isSecret(schema) };
  });
}

function isSecret(schema: z.ZodType): boolean {
  const inner = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  return inner.meta()?.['secret'] === true;
}

/** Docker secrets: `DISCORD_TOKEN_FILE=/run/secrets/discord` stands for the file's trimmed content. */
function fromFile(name: string, variables: Readonly<Record<string, string | undefined>>, problems: string[]): string | undefined {
  const file = variables[`${name}_FILE`];
  if (!file) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    problems.push(`${name}_FILE names a file that cannot be read`);
    return undefined;
  }
}

function requireTogether(config: Environment): void {
  const loopback = ['127.0.0.1', '::1', 'localhost'].includes(config.FROMAGE_HOST);
  if (!loopback && config.FROMAGE_API_KEY === undefined) {
    throw new FromageError({
      code: 'CONFIG_INVALID',
      what: `FROMAGE_HOST is ${config.FROMAGE_HOST} and there is no FROMAGE_API_KEY`,
      why: 'whoever reaches the address could use the model and see the conversations',
      todo: 'set FROMAGE_API_KEY (16 characters or more), or leave FROMAGE_HOST at 127.0.0.1',
    });
  }
  if (config.TELEGRAM_TOKEN !== undefined && config.TELEGRAM_MODE === 'webhook' && (!config.TELEGRAM_WEBHOOK_URL || !config.TELEGRAM_WEBHOOK_SECRET)) {
    throw new FromageError({
      code: 'CONFIG_INVALID',
      what: 'TELEGRAM_MODE is webhook without TELEGRAM_WEBHOOK_URL and TELEGRAM_WEBHOOK_SECRET',
      why: 'an unsigned webhook would take updates from anybody',
      todo: 'set both, or use TELEGRAM_MODE=polling',
    });
  }
}

/** " (did you mean X?)" for the known name at the least edit distance, if it is near. */
function nearest(name: string, known: readonly string[]): string {
  const scored = known.map((other) => ({ other, distance: editDistance(name, other) })).sort((a, b) => a.distance - b.distance);
  const best = scored[0];
  return best && best.distance <= 4 ? ` (did you mean ${best.other}?)` : '';
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
