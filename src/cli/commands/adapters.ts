// `fromage adapters export|import`: between our form and the authors'.
import { exportPytorchAdapter, importAdapter } from '../../training/index.ts';

export function exportAdapter(adapter: string, folder: string): void {
  exportPytorchAdapter(adapter, folder);
  process.stdout.write(`${folder}: model_args.json, pretrained_ckpt.pth.tar\n`);
}

export function importAdapterCommand(source: string, folder: string): void {
  const { hash } = importAdapter(source, folder);
  process.stdout.write(`${folder}: adapter.json, adapter.safetensors (${String(hash)})\n`);
}
