// `fromage adapters list|show`: versions in the data folder. `export|import`: between our form and the authors'.
import { existsSync } from 'node:fs';
import { FromageError } from '../../errors.ts';
import { withLearningRecords } from '../learning-records.ts';
import { exportPytorchAdapter, importAdapter } from '../../training/index.ts';

/** @param adapter a folder, or the id of a version in the data folder */
export async function exportAdapter(adapter: string, folder: string): Promise<void> {
  const source = existsSync(adapter) ? adapter : ((await withLearningRecords(({ folderOf }) => folderOf(adapter))) ?? adapter);
  exportPytorchAdapter(source, folder);
  process.stdout.write(`${folder}: model_args.json, pretrained_ckpt.pth.tar\n`);
}

export function importAdapterCommand(source: string, folder: string): void {
  const { hash } = importAdapter(source, folder);
  process.stdout.write(`${folder}: adapter.json, adapter.safetensors (${String(hash)})\n`);
}

export async function listAdapters({ json }: { readonly json?: boolean }): Promise<void> {
  await withLearningRecords(async ({ adapters }) => {
    const versions = await adapters.list();
    if (json) process.stdout.write(`${JSON.stringify(versions)}\n`);
    else process.stdout.write(versions.length === 0 ? 'there are no versions yet: "fromage start" keeps the model’s own as the first\n' : versions.map(({ id, serving, parent, details }) => `${serving ? '*' : ' '} ${id}${parent ? ` (from ${parent})` : ''}: ${details[0] ?? ''}\n`).join(''));
  });
}

export async function showAdapter(id: string, { json }: { readonly json?: boolean }): Promise<void> {
  await withLearningRecords(async ({ adapters }) => {
    const version = await adapters.show(id);
    if (!version) throw new FromageError({ code: 'LEARNING_ADAPTER', what: `there is no adapter version "${id.slice(0, 80)}"`, todo: 'see fromage adapters list' });
    process.stdout.write(json ? `${JSON.stringify(version)}\n` : `${version.id}${version.serving ? ' (serving)' : ''}\n${version.details.map((line) => `  ${line}\n`).join('')}`);
  });
}

/** @param place `platform:id` as the platform names the chat; a topic or thread has its own */
export async function pinAdapter(place: string, id: string): Promise<void> {
  await withLearningRecords(async ({ adapters, chatOf }) => {
    const chat = await chatOf(place);
    if (chat === null) throw new FromageError({ code: 'CLI_CHAT', what: `nothing was ever said in "${place.slice(0, 80)}"`, todo: 'name the chat as telegram:<id> or discord:<channel id>' });
    const pinned = await adapters.pin(chat, id === 'none' ? null : id);
    process.stdout.write(pinned === null ? `${place} follows the version that serves\n` : `${pinned} answers in ${place} from now on\n`);
  });
}
