// Prisma's schema engine as a WebAssembly module: diffs of schemas without the native binary, which only
// its vendor's host serves. Nothing here needs a database unless one is handed in.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = join(import.meta.dirname, 'node_modules/@prisma/schema-engine-wasm');

/** The module that its own entry file would be, loaded by hand: Node does not import .wasm as a module. */
async function instantiate() {
  const glue = await import(pathToFileURL(join(folder, 'schema_engine_bg.js')).href);
  const { instance } = await WebAssembly.instantiate(readFileSync(join(folder, 'schema_engine_bg.wasm')), { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  return glue;
}

// Once: the glue keeps views of the memory of the instance it was given first.
let loaded;
const load = () => (loaded ??= instantiate());

const ok = (value) => ({ ok: true, value, map: (f) => ok(f(value)), flatMap: (f) => f(value) });

/** Answers the one question that PostgreSQL's side of the engine asks before an offline diff. */
function offlineFactory(provider) {
  const connection = {
    provider: provider === 'postgresql' ? 'postgres' : provider,
    adapterName: 'offline',
    errorRegistry: { consumeError: () => undefined },
    queryRaw: async () => ok({ columnNames: ['exists', 'version', 'numeric_version'], columnTypes: [5, 7, 0], rows: [[true, 'PostgreSQL 15.0', 150000]] }),
    executeRaw: async () => ok(0),
    executeScript: async () => ok(undefined),
    dispose: async () => ok(undefined),
    getConnectionInfo: () => ok({ schemaName: 'public', supportsRelationJoins: false }),
  };
  return { provider: connection.provider, adapterName: 'offline', errorRegistry: connection.errorRegistry, connect: async () => ok(connection), connectToShadowDb: async () => ok(connection) };
}

/**
 * The SQL that leads from one schema to another.
 *
 * @param from schema text, null for an empty database
 * @param to schema text
 * @returns '' when nothing differs
 */
export async function diff(provider, from, to) {
  const { SchemaEngine } = await load();
  const target = (content) => (content === null ? { tag: 'empty' } : { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content }] });
  const engine = await SchemaEngine.new({ datamodels: [['schema.prisma', to]] }, () => {}, offlineFactory(provider));
  const { exitCode, stdout } = await engine.diff({ from: target(from), to: target(to), script: true, exitCode: true, shadowDatabaseUrl: null, filters: { externalTables: [], externalEnums: [] } });
  return exitCode === 0 ? '' : stdout;
}
