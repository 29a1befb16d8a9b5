// `npm run db:generate`: writes both schemas from prisma/models.prisma and both clients into
// src/store/generated. The Prisma command line is installed beside this file on first use.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { providers, root, schemaFor } from './schema.mjs';

const tools = import.meta.dirname;

/** Installs what package-lock.json beside this file names, unless it is there. */
export function installTools() {
  if (existsSync(join(tools, 'node_modules/prisma')) && existsSync(join(tools, 'node_modules/@prisma/schema-engine-wasm'))) return;
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  execFileSync(npm, ['ci', '--ignore-scripts', '--prefix', tools], { stdio: 'inherit', shell: process.platform === 'win32' });
}

/** Writes the schemas and generates the clients. */
export function generate() {
  installTools();
  for (const one of providers) {
    const folder = join(root, 'prisma', one.name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'schema.prisma'), schemaFor(one));
    rmSync(join(root, 'src/store/generated', one.name), { recursive: true, force: true });
    execFileSync(process.execPath, [join(tools, 'node_modules/prisma/build/index.js'), 'generate', '--schema', join(folder, 'schema.prisma')], {
      cwd: tools,
      stdio: ['ignore', 'ignore', 'inherit'],
      // `generate` never starts the schema engine, but refuses to run where it finds none; any program will
      // do. Only for `generate`: with it, `migrate` would do nothing and report success.
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' },
    });
  }
}

if (import.meta.main) {
  generate();
  console.log('Wrote prisma/{sqlite,postgres}/schema.prisma and src/store/generated/{sqlite,postgres}.');
}
