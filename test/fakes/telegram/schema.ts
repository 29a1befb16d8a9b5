// Checks calls, results and updates against JSON Schemas made from Telegram's published Bot API.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

const schema = JSON.parse(readFileSync(join(import.meta.dirname, 'bot-api.schema.json'), 'utf8')) as { definitions: Record<string, object> };
const ajv = new Ajv({ strict: false, allowUnionTypes: true, validateFormats: false });
ajv.addSchema(schema, 'bot-api');
const compiled = new Map<string, ValidateFunction>();

/** Null when the value is as published, else what is wrong with it. */
export function violation(definition: string, value: unknown): string | null {
  let validate = compiled.get(definition);
  if (!validate) {
    if (!schema.definitions[definition]) return `there is no definition ${definition}`;
    validate = ajv.compile({ $ref: `bot-api#/definitions/${definition}` });
    compiled.set(definition, validate);
  }
  if (validate(value)) return null;
  const errors = (validate.errors ?? []).slice(0, 4).map(({ instancePath, message, params }) => `${instancePath || '/'} ${message} ${JSON.stringify(params)}`);
  return `${definition}: ${errors.join('; ')}`;
}

export function callDefinition(method: string): string {
  return `${method[0]!.toUpperCase()}${method.slice(1)}Call`;
}

export function resultDefinition(method: string): string {
  return `${method[0]!.toUpperCase()}${method.slice(1)}Result`;
}

interface Definition {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Definition[];
  readonly allOf?: readonly Definition[];
  readonly properties?: Readonly<Record<string, Definition>>;
}

/**
 * A field of a form as the value that it stands for: forms carry text only, and what is no string (numbers,
 * booleans, objects) comes as JSON. What a field may be is told by the schema.
 */
export function fieldValue(method: string, name: string, text: string): unknown {
  const allowed = new Set<string>();
  for (const field of propertiesNamed(schema.definitions[callDefinition(method)] as Definition | undefined, name)) collectTypes(field, allowed);
  if (/^[[{]/.test(text) && (allowed.has('object') || allowed.has('array'))) return parsed(text);
  if (/^-?\d+(\.\d+)?$/.test(text) && allowed.has('number')) return Number(text);
  if (/^(true|false)$/i.test(text) && allowed.has('boolean')) return text.toLowerCase() === 'true';
  return text;
}

function resolved(definition: Definition | undefined): Definition {
  if (definition?.$ref === undefined) return definition ?? {};
  return resolved(schema.definitions[decodeURIComponent(definition.$ref.slice('#/definitions/'.length))] as Definition | undefined);
}

function propertiesNamed(definition: Definition | undefined, name: string): Definition[] {
  const { properties, anyOf = [], allOf = [] } = resolved(definition);
  return [...(properties?.[name] ? [properties[name]] : []), ...[...anyOf, ...allOf].flatMap((inner) => propertiesNamed(inner, name))];
}

function collectTypes(definition: Definition, into: Set<string>): void {
  const { type, anyOf = [], enum: values = [], const: constant } = resolved(definition);
  for (const one of [type ?? []].flat()) into.add(one === 'integer' ? 'number' : one);
  for (const value of [...values, ...(constant === undefined ? [] : [constant])]) into.add(typeof value);
  for (const inner of anyOf) collectTypes(inner, into);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
