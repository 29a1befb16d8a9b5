// What a task cannot do without.
import { FromageError } from '../../errors.ts';

/** @throws FromageError `EVALUATION_DATA` */
export function required(file: string | undefined): string {
  if (file === undefined) throw new FromageError({ code: 'EVALUATION_DATA', what: '--data is missing', todo: 'name the file of the data; docs/evaluation.md tells the forms' });
  return file;
}
