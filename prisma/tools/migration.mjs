// `npm run db:migration -- NAME`: writes one migration per provider, from the schema the migrations lead
// to so far (prisma/<provider>/migrated.prisma) to the current one. Read the SQL before it is committed:
// a diff made without a database cannot see what data it would lose.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diff } from './engine.mjs';
import { generate } from './generate.mjs';
import { providers, root, schemaFor } from './schema.mjs';

const name = process.argv[2];
if (!name || !/^[a-z][a-z0-9_]*$/.test(name)) {
  console.error('Give the migration a name of lower-case letters, digits and underscores: npm run db:migration -- add_locale');
  process.exit(2);
}
generate();
const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
for (const one of providers) {
  const folder = join(root, 'prisma', one.name);
  const migrated = join(folder, 'migrated.prisma');
  const schema = schemaFor(one);
  const sql = await diff(one.provider, existsSync(migrated) ? readFileSync(migrated, 'utf8') : null, schema);
  if (sql === '') {
    console.log(`${one.name}: nothing to migrate`);
    continue;
  }
  const target = join(folder, 'migrations', `${stamp}_${name}`);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'migration.sql'), sql);
  writeFileSync(migrated, schema);
  console.log(`${one.name}: prisma/${one.name}/migrations/${stamp}_${name}/migration.sql`);
}
