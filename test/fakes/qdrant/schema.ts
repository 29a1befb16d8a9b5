// Checks requests and answers against Qdrant's description, more strictly than Qdrant itself: a field that
// the description does not know is an error, so that a misspelt filter cannot pass as "no filter".
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

interface Operation {
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: object } } };
  readonly responses: { readonly 200: { readonly content: { readonly 'application/json': { readonly schema: object } } } };
}

export interface Checker {
  /** The operation's template and its name in the path, or null. */
  match(method: string, path: string): { readonly template: string; readonly collection: string } | null;
  /** A sentence when the value does not fit. */
  request(method: string, template: string, body: unknown): string | null;
  response(method: string, template: string, body: unknown): string | null;
  error(body: unknown): string | null;
}

export function createChecker(): Checker {
  const document = strict(JSON.parse(readFileSync(new URL('./openapi.json', import.meta.url), 'utf8'))) as { paths: Record<string, Record<string, Operation>>; components: object };
  const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false });
  ajv.addSchema({ $id: 'qdrant', components: document.components });
  const compiled = new Map<string, ValidateFunction>();
  const check = (name: string, schema: object | undefined, value: unknown): string | null => {
    if (!schema) return value === undefined ? null : `${name} takes no body`;
    const validate = compiled.get(name) ?? ajv.compile(absolute(schema) as object);
    compiled.set(name, validate);
    return validate(value) ? null : `${name}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)?.slice(0, 300)}`;
  };
  const operation = (method: string, template: string) => document.paths[template]![method.toLowerCase()]!;
  return {
    match(method, path) {
      for (const [template, methods] of Object.entries(document.paths)) {
        if (!methods[method.toLowerCase()]) continue;
        const found = new RegExp(`^${template.replace('{collection_name}', '(?!aliases$)([^/]+)')}$`).exec(path);
        if (found) return { template, collection: decodeURIComponent(found[1] ?? '') };
      }
      return null;
    },
    request: (method, template, body) => check(`${method} ${template}`, operation(method, template).requestBody?.content['application/json'].schema, body),
    response: (method, template, body) => check(`${method} ${template} 200`, operation(method, template).responses[200].content['application/json'].schema, body),
    error: (body) => check('ErrorResponse', { $ref: '#/components/schemas/ErrorResponse' }, body),
  };
}

/** `{nullable: true}` alone means null, and objects with listed properties have no others. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && (value as { nullable?: boolean }).nullable === true) return { type: 'null' };
  const copy = Object.fromEntries(entries.map(([key, inner]) => [key, strict(inner)]));
  if (copy['type'] === 'object' && copy['properties'] !== undefined && copy['additionalProperties'] === undefined) copy['additionalProperties'] = false;
  return copy;
}

function absolute(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(absolute);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === '$ref' ? `qdrant${inner as string}` : absolute(inner)]));
}
