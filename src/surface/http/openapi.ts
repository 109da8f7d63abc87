import type { Caller } from "#src/command/caller.ts";
import { listFor, type ListedCommand } from "#src/command/list.command.ts";
import { mediaTypes } from "./answer.ts";
import type { Route } from "./route.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import type { Door } from "./door.ts";

type Json = Readonly<Record<string, unknown>>;

const described = new WeakMap<Door, Map<Caller["provenance"], string>>();

/**
 * The OpenAPI document for a caller, as JSON: the commands `commands/list` lists for it, made from the
 * same schemas, and the routes beside them. Written once for each kind of caller.
 */
export function describeDoor(door: Door, caller: Caller, routes: readonly Route[]): string {
  const known = described.get(door) ?? new Map<Caller["provenance"], string>();
  described.set(door, known);
  const present = known.get(caller.provenance);
  if (present !== undefined) return present;
  const text = JSON.stringify(openapiOf(door, caller, routes));
  known.set(caller.provenance, text);
  return text;
}

/** The document itself: OpenAPI 3.1. */
export function openapiOf(door: Door, caller: Caller, routes: readonly Route[]): Json {
  const { services, version } = door.parts;
  const commands = listFor(caller, services);
  const shown = routes.filter(
    (route) => route.summary !== undefined && (!route.socketOnly || caller.provenance === "local"),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "psionic",
      version,
      summary: "The commands of one psionic node.",
      description:
        "Every command is one POST with its parameters as a JSON object. Paths are those this caller may call.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: Object.fromEntries([
      ...shown.map((route) => [
        route.path.replaceAll(/:(\w+)/g, "{$1}"),
        { [route.method.toLowerCase()]: operationOf(route) },
      ]),
      ...commands.map((command) => [
        `/commands/${command.name}`,
        { post: commandOperation(command) },
      ]),
    ]),
    components: {
      securitySchemes: {
        operatorToken: {
          type: "http",
          scheme: "bearer",
          description: "What identity/operator.token in the node's home holds.",
        },
      },
      schemas: { Problem: problemSchema },
      responses: refusalResponses(),
    },
  };
}

function commandOperation(command: ListedCommand): Json {
  const required = command.parameters.required ?? [];
  return {
    operationId: command.name.replaceAll("/", "_"),
    summary: command.summary,
    description: `Access: ${command.access}. At a terminal: ${commandLine(command)}`,
    tags: [command.name.split("/")[0]],
    security: securityOf(command.access === "safe"),
    "x-psionic-access": command.access,
    requestBody: {
      required: required.length > 0,
      content: { [mediaTypes.json]: { schema: modernised(command.parameters) } },
    },
    responses: {
      "200": {
        description: "What the command gives; streamed forms give its events first.",
        content: {
          [mediaTypes.json]: { schema: command.result ? modernised(command.result) : {} },
          [mediaTypes.ndjson]: {
            schema: {
              type: "string",
              description: "lines of {event}, then one of {result}, {refusal} or {bug}",
            },
          },
          [mediaTypes.sse]: {
            schema: {
              type: "string",
              description: "events named event, then one named result, refusal or bug",
            },
          },
        },
      },
      ...refusedStatuses,
    },
  };
}

function commandLine({ name, examples }: ListedCommand): string {
  return `\`${examples[0] ?? `psionic ${name.replaceAll("/", " ")}`}\`.`;
}

function operationOf(route: Route): Json {
  return {
    operationId: `door${route.path.replaceAll(/[^a-z]+/g, "_")}`,
    summary: route.summary,
    tags: ["door"],
    security: securityOf(route.access !== "owner"),
    ...(route.query ? { parameters: route.query } : {}),
    ...(route.body
      ? { requestBody: { required: true, content: { [route.body]: { schema: {} } } } }
      : {}),
    responses: {
      "200": {
        description: "Its answer.",
        content: { [route.type ?? mediaTypes.json]: { schema: {} } },
      },
      default: { $ref: "#/components/responses/Refused" },
    },
  };
}

/** An empty requirement says that nothing is needed. */
function securityOf(isOpen: boolean): readonly Json[] {
  return [...(isOpen ? [{}] : []), { operatorToken: [] }];
}

const refusedStatuses: Json = {
  ...Object.fromEntries(
    ["400", "401", "403", "503"].map((status) => [
      status,
      { $ref: `#/components/responses/Refused${status}` },
    ]),
  ),
  default: { $ref: "#/components/responses/Refused" },
};

const problemSchema: Json = {
  type: "object",
  description: "A refusal as RFC 9457 has it: what happened, why, and one thing to try.",
  required: ["type", "title", "status", "detail", "code", "hint", "retryable", "details"],
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string", enum: [...Object.keys(codes), "bug"] },
    hint: { type: "string" },
    retryable: { type: "boolean" },
    details: { type: "object" },
  },
};

/** One response per status commands often have, with the codes behind it, and one for all. */
function refusalResponses(): Json {
  const response = (description: string): Json => ({
    description,
    content: {
      "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
    },
  });
  const byStatus = Map.groupBy(
    Object.keys(codes) as RefusalCode[],
    (code): number => codes[code].http,
  );
  return {
    Refused: response("Refused, or a bug; `code` says which."),
    ...Object.fromEntries(
      [400, 401, 403, 503].map((status) => [
        `Refused${status}`,
        response(`Refused: ${(byStatus.get(status) ?? []).join(", ")}.`),
      ]),
    ),
  };
}

/** A schema as JSON Schema 2020-12 has it, which is OpenAPI's: a list of `items` is `prefixItems`. */
function modernised(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(modernised);
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => {
      if (key === "$schema") return [];
      if (key === "items" && Array.isArray(value)) return [["prefixItems", modernised(value)]];
      if (key === "additionalItems") return [["items", modernised(value)]];
      return [[key, modernised(value)]];
    }),
  );
}
