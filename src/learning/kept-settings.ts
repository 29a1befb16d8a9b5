// Settings of learning that an operator keeps in the store: they stand above those the program was started
// with, and a running program follows them.
import { z } from 'zod';
import type { JsonObject, JsonValue, SettingsStore } from '../chat/contracts.ts';
import { FromageError } from '../errors.ts';
import { type LearningSettings, learningSettingsSchema, parseLearningSettings } from './settings.ts';

const scope = 'global';
const key = 'learning';

/** One setting as an operator sees it; `name` is its path, e.g. `schedule.everyHours`. */
export interface LearningSetting {
  readonly name: string;
  readonly description: string;
  readonly value: unknown;
  /** True when it is kept in the store. */
  readonly kept: boolean;
}

/** What the composition root gave, with what is kept above it. */
export async function readSettings(store: SettingsStore, given: LearningSettings): Promise<LearningSettings> {
  const checked = learningSettingsSchema.safeParse(merge(given, await readKept(store)));
  return checked.success ? checked.data : given;
}

export async function listSettings(store: SettingsStore, given: LearningSettings): Promise<readonly LearningSetting[]> {
  const kept = await readKept(store);
  const settings = await readSettings(store, given);
  return leaves().map(({ name, description }) => ({ name, description, value: at(settings, name), kept: at(kept, name) !== undefined }));
}

/**
 * @param typed JSON or a plain word; null takes the kept value back
 * @throws FromageError `LEARNING_SETTINGS` for a name that there is not, or a value that is not allowed
 */
export async function keepSetting(store: SettingsStore, given: LearningSettings, name: string, typed: string | null): Promise<void> {
  const isOpen = (leaf: string): boolean => name === leaf || (leaf === 'training' && /^training\.\w+$/.test(name));
  if (!leaves().some((leaf) => isOpen(leaf.name))) throw new FromageError({ code: 'LEARNING_SETTINGS', what: `there is no setting "${name.slice(0, 80)}"`, todo: '"fromage retrain settings" lists them' });
  const [outer = '', inner] = name.split('.', 2);
  const kept = await readKept(store);
  const group = inner === undefined ? {} : { ...plain(kept[outer]) };
  const next: Record<string, JsonValue> = { ...kept };
  const value = typed === null ? undefined : parse(typed);
  if (inner === undefined) assign(next, outer, value);
  else {
    assign(group, inner, value);
    assign(next, outer, Object.keys(group).length === 0 ? undefined : group);
  }
  parseLearningSettings(merge(given, next));
  await store.set(scope, key, next);
}

function assign(object: Record<string, JsonValue>, name: string, value: JsonValue | undefined): void {
  if (value === undefined) delete object[name];
  else object[name] = value;
}

function parse(typed: string): JsonValue {
  try {
    return JSON.parse(typed) as JsonValue;
  } catch {
    return typed;
  }
}

async function readKept(store: SettingsStore): Promise<JsonObject> {
  return plain(await store.get(scope, key));
}

function plain(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

/** Groups are merged one deep: a kept `gate.recallLoss` leaves the rest of `gate`. */
function merge(given: object, kept: JsonObject): object {
  const groups = Object.entries(kept).map(([name, value]) => {
    const below = (given as Readonly<Record<string, unknown>>)[name];
    const isGroup = [below, value].every((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
    return [name, isGroup ? { ...(below as object), ...(value as object) } : value];
  });
  return { ...given, ...Object.fromEntries(groups) };
}

function at(settings: object, name: string): unknown {
  return name.split('.').reduce<unknown>((value, part) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined), settings);
}

/** Every setting by its path, with the words of the schema. */
function leaves(): { readonly name: string; readonly description: string }[] {
  type Node = { readonly description?: string; readonly properties?: Readonly<Record<string, Node>> };
  const walk = (node: Node, path: string): { name: string; description: string }[] =>
    node.properties ? Object.entries(node.properties).flatMap(([name, child]) => walk(child, path === '' ? name : `${path}.${name}`)) : [{ name: path, description: node.description ?? '' }];
  return walk(z.toJSONSchema(learningSettingsSchema, { io: 'input', unrepresentable: 'any' }) as Node, '');
}
