// `npm run db:check`: generates again and fails if anything that is committed differs, if a migration is
// missing, or if the SQLite migrations, one after the other, do not give the tables the models describe.
import { createHash } from 'node:crypto';
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { diff } from './engine.mjs';
import { generate } from './generate.mjs';
import { providers, root, schemaFor } from './schema.mjs';

const watched = ['prisma/sqlite/schema.prisma', 'prisma/postgres/schema.prisma', 'src/store/generated'];

function fingerprints() {
  const found = new Map();
  for (const path of watched) {
    const full = join(root, path);
    if (!existsSync(full)) continue;
    const files = statSync(full).isDirectory() ? globSync('**/*', { cwd: full }).map((name) => join(path, name)) : [path];
    for (const file of files) {
      if (statSync(join(root, file)).isFile()) found.set(file, createHash('sha256').update(readFileSync(join(root, file))).digest('hex'));
    }
  }
  return found;
}

/** Tables, columns, indices and foreign keys as plain data, in an order that does not depend on history. */
function shapeOf(scripts) {
  const database = new DatabaseSync(':memory:');
  for (const script of scripts) database.exec(script);
  const shape = {};
  for (const { name } of database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").all()) {
    const sorted = (rows) => rows.map((row) => JSON.stringify(row)).sort();
    shape[name] = {
      columns: sorted(database.prepare(`SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info('${name}')`).all()),
      indices: sorted(database.prepare(`SELECT l.name, l."unique", group_concat(i.name) AS columns FROM pragma_index_list('${name}') l, pragma_index_info(l.name) i WHERE l.origin = 'c' GROUP BY l.name`).all()),
      foreignKeys: sorted(database.prepare(`SELECT "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list('${name}')`).all()),
    };
  }
  database.close();
  return shape;
}

const problems = [];
const before = fingerprints();
generate();
const after = fingerprints();
for (const file of new Set([...before.keys(), ...after.keys()])) {
  if (before.get(file) !== after.get(file)) problems.push(`${file} is not what prisma/models.prisma gives; it was written again, commit it`);
}
for (const one of providers) {
  const folder = join(root, 'prisma', one.name);
  const sql = await diff(one.provider, readFileSync(join(folder, 'migrated.prisma'), 'utf8'), schemaFor(one));
  if (sql !== '') problems.push(`${one.name}: the models have changed since the last migration; run npm run db:migration -- NAME\n${sql}`);
}
const migrations = readdirSync(join(root, 'prisma/sqlite/migrations')).sort();
const scripts = migrations.map((name) => readFileSync(join(root, 'prisma/sqlite/migrations', name, 'migration.sql'), 'utf8'));
const [migrated, described] = [shapeOf(scripts), shapeOf([await diff('sqlite', null, schemaFor(providers[0]))])];
for (const table of new Set([...Object.keys(migrated), ...Object.keys(described)])) {
  const [is, should] = [JSON.stringify(migrated[table]), JSON.stringify(described[table])];
  if (is !== should) problems.push(`the migrations give ${table} as ${is}, the models describe ${should}`);
}
const names = JSON.stringify(migrations);
if (names !== JSON.stringify(readdirSync(join(root, 'prisma/postgres/migrations')).sort())) problems.push('SQLite and PostgreSQL have different migrations');

for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? `Generated clients, schemas and ${migrations.length} migrations agree.` : `${problems.length} differences.`);
process.exitCode = problems.length === 0 ? 0 : 1;
