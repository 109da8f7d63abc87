import * as v from "valibot";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import type { Caller } from "./caller.ts";
import type { CommandContext, Event, Services } from "./define.ts";
import { explainIssue } from "./explain-issue.ts";
import { judge } from "./gate.ts";
import { nearest } from "./nearest.ts";
import type { AnyCommand, Registry } from "./registry.ts";

/** Runs a command, its parameters checked, in another process of this executable. */
export type Isolate = (
  command: AnyCommand,
  parameters: unknown,
  context: Pick<CommandContext, "caller" | "signal" | "configured" | "emit"> &
    Pick<Call, "withinUse">,
) => Promise<unknown>;

/** Everything a call needs besides its name and parameters. */
export interface Call {
  readonly registry: Registry;
  readonly services: Services;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  /** Parameters that configuration filled in, for commands that treat what was said differently. */
  readonly configured?: ReadonlySet<string>;
  /** Where commands that compute run; without it, in this process. */
  readonly isolate?: Isolate;
  /** True inside a call that a grant admitted: what it calls in turn is not counted again. */
  readonly withinUse?: boolean;
  emit(event: Event): void;
}

/**
 * Calls a command by name: finds it, asks the gate, checks the parameters, runs it. A call a
 * command makes goes through the gate again as the same caller, so composing never escalates.
 *
 * Refusals: `unknown_command`, `not_authorised`, `peer_blocked`, those of grants, `usage` with the
 * path of the wrong parameter.
 */
export async function dispatch(call: Call, name: string, parameters: unknown): Promise<unknown> {
  const { command, by } = admitted(call, name);
  const checked = checkParameters(command, parameters);
  const opensUse = by === "grant" && call.withinUse !== true;
  return opensUse ? runByGrant(call, command, checked) : runAdmitted(call, command, checked);
}

function admitted(call: Call, name: string) {
  const command = call.registry.get(name);
  if (!command) throw unknownCommand(call.registry, name);
  const judgement = judge(call.caller, command, call.services, call.withinUse);
  if (judgement.by === null) {
    const { refusal } = judgement;
    if (call.caller.provenance === "peer" && refusal.code.startsWith("grant_"))
      call.services.grants.refused(call.caller, name, refusal);
    throw refusal;
  }
  return { command, by: judgement.by };
}

/** The use is durable before the command starts, so that a crash never gives a call back. */
async function runByGrant(call: Call, command: AnyCommand, parameters: unknown): Promise<unknown> {
  assert(call.caller.provenance === "peer", "only a peer presents a grant");
  const use = call.services.grants.use(call.caller, command.name);
  const count = (value: unknown) =>
    use.countBytes(Buffer.byteLength(JSON.stringify(value ?? null)));
  try {
    const signal = AbortSignal.any([call.signal, use.signal]);
    const emit = (event: Event) => {
      count(event);
      call.emit(event);
    };
    const result = await runAdmitted(
      { ...call, signal, emit, withinUse: true },
      command,
      parameters,
    );
    use.signal.throwIfAborted();
    count(result);
    return result;
  } finally {
    use.finish();
  }
}

/**
 * Runs a command whose caller was admitted and whose parameters were checked, here or in the process that
 * handed it over (`Isolate`). An inner call is judged like any other, but only the outer one counts
 * against a budget.
 */
export async function runAdmitted(
  call: Call,
  command: AnyCommand,
  parameters: unknown,
): Promise<unknown> {
  const { services, caller, signal, isolate } = call;
  const emit = (event: Event) => call.emit(event);
  const configured = call.configured ?? new Set<string>();
  if (command.computes === true && isolate !== undefined)
    return isolate(command, parameters, {
      ...{ caller, signal, configured, emit },
      withinUse: call.withinUse === true,
    });
  return command.run(parameters, {
    services,
    caller,
    signal,
    configured,
    emit,
    judge: (inner) => judge(caller, inner, services, call.withinUse),
    call(innerName, innerParameters) {
      const inner = { ...call, configured: new Set<string>() };
      return dispatch(inner, innerName, innerParameters);
    },
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

/** `a/b/c` gives `a`, `a/b` and `a/b/c`. */
function beginnings(name: string): string[] {
  const words = name.split("/");
  return words.map((_, index) => words.slice(0, index + 1).join("/"));
}

/** The one command whose last word was typed alone: `stop` for `run stop`. */
function endingIn(word: string, commands: readonly AnyCommand[]): string | undefined {
  const found = commands.filter(({ name }) => name.endsWith(`/${word}`));
  return found.length === 1 ? found[0]!.name : undefined;
}

/** The refusal of a name no command has, with the nearest name there is. */
export function unknownCommand(registry: Registry, name: string): Refusal {
  const shown = registry.all().filter((command) => !command.hidden);
  const known = new Set(shown.flatMap((command) => beginnings(command.name)));
  const suggestion =
    beginnings(name)
      .reverse()
      .map((beginning) => nearest(beginning, [...known]))
      .find((found) => found !== null) ?? endingIn(name, shown);
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
