// `fromage golden DIR`: the product's numbers against a reference folder, part by part.
import { printGolden, runGolden } from '../../evaluation/index.ts';
import { number } from './generate.ts';

export async function golden(folder: string, options: { readonly json?: boolean; readonly threads?: string; readonly device?: 'cpu' | 'cuda' | 'webgpu' }): Promise<void> {
  const result = await runGolden(folder, {
    ...(options.threads === undefined ? {} : { threads: number('--threads', options.threads) }),
    ...(options.device === undefined ? {} : { device: options.device }),
  });
  if (!options.json) process.stdout.write(printGolden(result));
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.ok ? 0 : 1;
}
