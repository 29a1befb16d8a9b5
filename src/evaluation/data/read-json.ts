// JSON files of outside data sets, checked before anything relies on them.
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { FromageError } from '../../errors.ts';

/** @param form what the file should be, for people. @throws FromageError `EVALUATION_DATA` */
export async function readJsonFile<T extends z.ZodType>(file: string, schema: T, form: string): Promise<z.output<T>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new FromageError({ code: 'EVALUATION_DATA', what: `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, todo: `give ${form}`, cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FromageError({ code: 'EVALUATION_DATA', what: `${file} at ${issue?.path.join('.') || 'its top'}: ${issue?.message ?? 'has another form'}`, todo: `give ${form}` });
}
