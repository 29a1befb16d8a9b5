// Checks the WebGPU device on a machine without a GPU: unpacks SwiftShader (a Vulkan driver in software, from
// the npm package @sparticuz/chromium) and compares golden folders with `fromage golden --device webgpu`.
// Right or wrong is all that this shows; its speed says nothing. Arguments: golden folders.
// FROMAGE_GPU=1 leaves the driver alone and takes the machine's own.
import { spawnSync } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-stream';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const own = process.env.FROMAGE_GPU === '1';

/** Plain files of the archive, by their last name; nothing else is written. */
async function unpackDriver() {
  const folder = join(here, 'node_modules', '.driver');
  const library = join(folder, 'libvk_swiftshader.so');
  if (!existsSync(library)) {
    const archive = join(here, 'node_modules', '@sparticuz', 'chromium', 'bin', 'swiftshader.tar.br');
    if (!existsSync(archive)) {
      const installed = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here, stdio: 'inherit' });
      if (installed.status !== 0) throw new Error('npm ci in bench/webgpu failed');
    }
    const unfinished = `${folder}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    const tar = extract();
    tar.on('entry', (header, stream, next) => {
      if (header.type !== 'file') {
        stream.resume();
        stream.on('end', next);
        return;
      }
      stream.pipe(createWriteStream(join(unfinished, basename(header.name)))).on('finish', next);
    });
    await pipeline(createReadStream(archive), createBrotliDecompress(), tar);
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  }
  const description = join(folder, 'driver.json');
  writeFileSync(description, JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: library, api_version: '1.0.5' } }));
  return { VK_ICD_FILENAMES: description, VK_DRIVER_FILES: description, XDG_RUNTIME_DIR: folder, LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':') };
}

const folders = process.argv.slice(2);
if (folders.length === 0) folders.push(...['llama', 'fromage-k1', 'fromage-k4-postnorm'].map((name) => join(root, '../shared/golden', name)).filter((folder) => existsSync(folder)));
if (folders.length === 0) {
  console.error('no golden folders: name them (node bench/webgpu/run.mjs DIR …)');
  process.exit(1);
}
const driver = own ? {} : await unpackDriver();
let failed = 0;
for (const folder of folders) {
  console.log(`\n${basename(folder)} on webgpu`);
  const { status } = spawnSync(process.execPath, [join(root, 'bin/fromage.mjs'), 'golden', folder, '--device', 'webgpu', '--threads', '1'], { stdio: 'inherit', env: { ...process.env, ...driver } });
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
