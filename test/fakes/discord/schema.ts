// Checks requests and answers against Discord's official OpenAPI file, as discord-api-spec has it in Zod.
// @ts-expect-error the package has no types for its schemas
import * as spec from 'discord-api-spec/zod';

interface Schema {
  safeParse(value: unknown): { success: boolean; error?: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } };
}

/** Null when the value is as published, else what is wrong with it. */
export function violation(name: string, value: unknown): string | null {
  const schema = (spec as unknown as Record<string, Schema | undefined>)[`${name}Schema`];
  if (!schema) return `there is no schema ${name}`;
  const result = schema.safeParse(value);
  if (result.success) return null;
  const issues = (result.error?.issues ?? []).slice(0, 4).map(({ path, message }) => `${path.map(String).join('.') || '/'}: ${message}`);
  return `${name}: ${issues.join('; ')}`;
}
