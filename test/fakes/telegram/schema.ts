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
