// Cuts Qdrant's published OpenAPI description down to the operations that Fromage uses, without prose:
//   node test/fakes/qdrant/reduce-schema.mjs qdrant-openapi.json > test/fakes/qdrant/openapi.json
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const operations = [
  ['/', 'get'],
  ['/aliases', 'get'],
  ['/collections/aliases', 'post'],
  ['/collections/{collection_name}', 'get'],
  ['/collections/{collection_name}', 'put'],
  ['/collections/{collection_name}', 'delete'],
  ['/collections/{collection_name}/index', 'put'],
  ['/collections/{collection_name}/points', 'post'],
  ['/collections/{collection_name}/points', 'put'],
  ['/collections/{collection_name}/points/delete', 'post'],
  ['/collections/{collection_name}/points/count', 'post'],
  ['/collections/{collection_name}/points/scroll', 'post'],
  ['/collections/{collection_name}/points/query/batch', 'post'],
];

export function reduceSchema(whole) {
  const paths = {};
  for (const [path, method] of operations) (paths[path] ??= {})[method] = plain(whole.paths[path][method]);
  const schemas = {};
  const visit = (value) => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (value === null || typeof value !== 'object') return;
    const name = typeof value.$ref === 'string' ? value.$ref.split('/').at(-1) : null;
    if (name !== null && schemas[name] === undefined) {
      schemas[name] = plain(whole.components.schemas[name]);
      visit(schemas[name]);
    }
    Object.values(value).forEach(visit);
  };
  visit(paths);
  const { title, version, license } = whole.info;
  const sorted = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { openapi: whole.openapi, info: { title, version, license, description: 'Reduced by reduce-schema.mjs from the REST API description of Qdrant (https://github.com/qdrant/qdrant), Apache-2.0.' }, paths, components: { schemas: sorted } };
}

/** Without prose; `properties` may have a member of that name, which stays. */
function plain(value, inProperties = false) {
  if (Array.isArray(value)) return value.map((item) => plain(item));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (!inProperties && ['description', 'summary', 'tags', 'example', 'examples', 'externalDocs'].includes(key) ? [] : [[key, plain(inner, key === 'properties')]])));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${JSON.stringify(reduceSchema(JSON.parse(readFileSync(process.argv[2], 'utf8'))))}\n`);
}
