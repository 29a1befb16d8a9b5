// Makes the schema of one provider from the common model file: only the header differs. The answer is a
// text; who calls it decides where it is written.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The databases that are supported: folder under prisma/, Prisma's name, client folder under src/store/generated. */
export const providers = [
  { name: 'sqlite', provider: 'sqlite' },
  { name: 'postgres', provider: 'postgresql' },
];

/** @returns the schema text of one provider, the client written to `output` (relative to the schema's file) */
export function schemaFor({ name, provider }, models = readFileSync(`${root}prisma/models.prisma`, 'utf8'), output = `../../src/store/generated/${name}`) {
  return `// Written by \`npm run db:generate\` from ../models.prisma. Change that file, not this one.

datasource db {
  provider = "${provider}"
}

generator client {
  provider               = "prisma-client"
  output                 = "${output}"
  runtime                = "nodejs"
  moduleFormat           = "esm"
  generatedFileExtension = "ts"
  importFileExtension    = "ts"
}

${models.slice(models.indexOf('// ---- people'))}`;
}
