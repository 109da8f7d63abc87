import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Caller } from "./caller.ts";
import type { Event, Services } from "./define.ts";
import { mayCall } from "./gate.ts";
import { nearest } from "./nearest.ts";
import type { AnyCommand, Registry } from "./registry.ts";

/** Everything a call needs besides its name and parameters. */
export interface Call {
  readonly registry: Registry;
  readonly services: Services;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  /** Parameters that configuration filled in, for commands that treat what was said differently. */
  readonly configured?: ReadonlySet<string>;
  emit(event: Event): void;
}

/**
 * Calls a command by name: finds it, asks the gate, checks the parameters, runs it. A call a
 * command makes goes through here again as the same caller, so composing never escalates.
 *
 * Refusals: `unknown_command`, `not_authorised`, `usage` with the path of the wrong parameter.
 */
export async function dispatch(call: Call, name: string, parameters: unknown): Promise<unknown> {
  const command = call.registry.get(name);
  if (!command) throw unknownCommand(call.registry, name);
  if (!mayCall(call.caller, command.access)) {
    throw new Refusal(
      "not_authorised",
      `${name} is not for this caller`,
      `it needs ${command.access ?? "owner"} access; ask the owner of this node`,
      { command: name, access: command.access ?? "owner" },
    );
  }
  return command.run(checkParameters(command, parameters), {
    services: call.services,
    caller: call.caller,
    signal: call.signal,
    configured: call.configured ?? new Set(),
    emit: (event) => call.emit(event),
    call: (innerName, innerParameters) =>
      dispatch({ ...call, configured: new Set() }, innerName, innerParameters),
  });
}

/** The parameters as the command's schema reads them, defaults filled in. */
export function checkParameters(command: AnyCommand, parameters: unknown): unknown {
  const checked = v.safeParse(command.parameters, parameters, { abortEarly: false });
  if (checked.success) return checked.output;
  const issue = checked.issues[0];
  const path = v.getDotPath(issue) ?? "";
  const words = command.name.replaceAll("/", " ");
  throw new Refusal(
    "usage",
    `${words}: ${explainIssue(issue, path)}`,
    `\`psionic ${words} --help\` shows what it takes`,
    {
      command: command.name,
      path,
      issues: checked.issues.map((each) => ({
        path: v.getDotPath(each) ?? "",
        message: each.message,
      })),
    },
  );
}

function explainIssue(issue: v.BaseIssue<unknown>, path: string): string {
  if (path === "") return issue.message;
  return issue.received === "undefined" ? `${path} is required` : `${path}: ${issue.message}`;
}

/** `a/b/c` gives `a`, `a/b` and `a/b/c`. */
function beginnings(name: string): string[] {
  const words = name.split("/");
  return words.map((_, index) => words.slice(0, index + 1).join("/"));
}

/** The refusal of a name no command has, with the nearest name there is. */
export function unknownCommand(registry: Registry, name: string): Refusal {
  const shown = registry.all().filter((command) => !command.hidden);
  const known = new Set(shown.flatMap((command) => beginnings(command.name)));
  const suggestion = beginnings(name)
    .reverse()
    .map((beginning) => nearest(beginning, [...known]))
    .find((found) => found !== null);
  const words = (text: string) => text.replaceAll("/", " ");
  return new Refusal(
    "unknown_command",
    `there is no command "${words(name)}"`,
    suggestion
      ? `did you mean \`psionic ${words(suggestion)}\`?`
      : "`psionic commands` lists them all",
    { command: name, ...(suggestion ? { suggestion } : {}) },
  );
}
