import { formatName } from "./format.ts";

/** The part of JSON Schema that forms are made from. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

export type FieldKind = "text" | "lines" | "integer" | "number" | "choice" | "truth";

/** One field of a form, made from one parameter of a command. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly description: string;
  readonly kind: FieldKind;
  readonly choices: readonly string[];
  readonly least: number | null;
  readonly most: number | null;
  readonly pattern: string | null;
  readonly isRequired: boolean;
}

function kindOf(schema: Schema): FieldKind {
  if (schema.enum) return "choice";
  const kinds: Readonly<Record<string, FieldKind>> = {
    array: "lines",
    integer: "integer",
    number: "number",
    boolean: "truth",
  };
  return (typeof schema.type === "string" ? kinds[schema.type] : undefined) ?? "text";
}

/** The fields of a command's parameters, in the order they are declared. */
export function fieldsOf(schema: Schema): Field[] {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    label: formatName(name),
    description: property.description ?? "",
    kind: kindOf(property),
    choices: (property.enum ?? []).map(String),
    least: property.minimum ?? null,
    // Limits no person would type at only make the field wide.
    most: property.maximum !== undefined && property.maximum < 1e9 ? property.maximum : null,
    pattern: property.pattern ?? null,
    isRequired: required.includes(name),
  }));
}

export interface Parsed {
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What is wrong, by field. */
  readonly mistakes: Readonly<Record<string, string>>;
}

function parseNumber(field: Field, text: string): number | string {
  const value = Number(text);
  if (!Number.isFinite(value)) return "must be a number";
  if (field.kind === "integer" && !Number.isSafeInteger(value)) return "must be a whole number";
  if (field.least !== null && value < field.least) return `must be at least ${field.least}`;
  if (field.most !== null && value > field.most) return `must be at most ${field.most}`;
  return value;
}

/** What a filled-in form means. Fields left empty are left out, so the node's defaults hold. */
export function parseFields(
  fields: readonly Field[],
  texts: Readonly<Record<string, string>>,
): Parsed {
  const parameters: Record<string, unknown> = {};
  const mistakes: Record<string, string> = {};
  for (const field of fields) {
    const text = (texts[field.name] ?? "").trim();
    if (text === "") {
      if (field.isRequired) mistakes[field.name] = "is needed";
      continue;
    }
    switch (field.kind) {
      case "integer":
      case "number": {
        const value = parseNumber(field, text);
        if (typeof value === "string") mistakes[field.name] = value;
        else parameters[field.name] = value;
        break;
      }
      case "truth":
        parameters[field.name] = text === "true";
        break;
      case "lines":
        parameters[field.name] = text
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean);
        break;
      case "choice":
      case "text":
        parameters[field.name] = text;
        break;
    }
  }
  return { parameters, mistakes };
}
