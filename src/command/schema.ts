import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import type { AnyCommand } from "./registry.ts";

/** The part of JSON Schema the doors read; the rest passes through untouched. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly [keyword: string]: unknown;
}

const computed = new WeakMap<v.GenericSchema, JsonSchema>();

function once(schema: v.GenericSchema, typeMode: "input" | "output"): JsonSchema {
  let json = computed.get(schema);
  if (!json) {
    // Checks that JSON Schema cannot say (a custom predicate) still run when valibot validates.
    json = toJsonSchema(schema, { errorMode: "ignore", typeMode }) as JsonSchema;
    computed.set(schema, json);
  }
  return json;
}

/** JSON Schema of what a caller sends, computed once per command. */
export function parameterSchema(command: AnyCommand): JsonSchema {
  return once(command.parameters, "input");
}

/** JSON Schema of what a caller gets, or null where the command declares none. */
export function resultSchema(command: AnyCommand): JsonSchema | null {
  return command.result ? once(command.result, "output") : null;
}
