import { getLogger } from "@logtape/logtape";
import type { Caller } from "#src/command/caller.ts";
import type { Event } from "#src/command/define.ts";
import { dispatch, unknownCommand } from "#src/command/dispatch.ts";
import { judge, trustOf } from "#src/command/gate.ts";
import type { AnyCommand } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  encodeRecord,
  failureRecord,
  failureResponse,
  formOf,
  mediaTypes,
  ReportedBug,
  type Failure,
} from "./answer.ts";
import { callHeader } from "../socket/call-header.ts";
import { parseObject, readBody } from "./body.ts";
import { failureOf } from "./bugs.ts";
import type { Door } from "./door.ts";
import type { CallOutcome } from "./metrics.ts";
import type { Arrival } from "./parts.ts";
import { openStream, type StreamWriter } from "./stream.ts";

const log = getLogger(["psionic", "http"]);

/** Longer names are not looked for: no command has one. */
const nameLengthMaximum = 128;

interface Call {
  readonly command: AnyCommand;
  readonly caller: Caller;
  readonly parameters: Record<string, unknown>;
  readonly configured: ReadonlySet<string>;
}

/**
 * `POST /commands/<name>`: the one rule for every command of the registry. The gate is asked before
 * the body is read; what psionic.toml and the environment say fills in what the owner's body leaves out.
 */
export async function answerCommand(
  door: Door,
  name: string,
  caller: Caller,
  arrival: Arrival,
  request: Request,
): Promise<Response> {
  const form = formOf(request.headers.get("accept"));
  const command = commandOf(door, name, arrival);
  const judgement = judge(caller, command, door.parts.services);
  if (judgement.by === null) throw judgement.refusal;
  if (door.parts.draining() && command.hidden !== true) throw stopping();
  // Stopping a call must be possible when all places are taken.
  const leave = command.hidden === true ? () => {} : door.calls.take(caller.provenance);
  const running = door.runningCalls.begin(
    { id: request.headers.get(callHeader), place: command.place ?? "process" },
    AbortSignal.any([request.signal, arrival.stopping]),
  );
  const release = () => {
    running.end();
    leave();
  };
  try {
    const call = await readCall(door, command, caller, request);
    if (form === "json") {
      arrival.hold(request);
      return await answerWhole(door, call, running.signal).finally(release);
    }
    return await answerStreamed(door, call, form, running.signal, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** What is hidden is the program's own: its terminals call it over the socket; elsewhere it is unknown. */
function commandOf(door: Door, name: string, arrival: Arrival): AnyCommand {
  const { registry } = door.parts;
  const command = registry.get(name);
  if (command !== undefined && (command.hidden !== true || arrival.via === "socket"))
    return command;
  if (name.length <= nameLengthMaximum && /^[a-z0-9/-]+$/.test(name))
    throw unknownCommand(registry, name);
  throw new Refusal(
    "unknown_command",
    "there is no command of that name",
    "`GET /commands` lists them all",
  );
}

async function readCall(
  door: Door,
  command: AnyCommand,
  caller: Caller,
  request: Request,
): Promise<Call> {
  const body = await readBody(request, door.limits);
  if (body.length > 0) requireJson(request.headers.get("content-type"));
  const said = parseObject(body);
  const takesAnything = Object.keys(parameterSchema(command).properties ?? {}).length > 0;
  // What is the program's own has no settings: a broken file must not keep a call from being stopped.
  const hasSettings = takesAnything && command.hidden !== true;
  // What the owner configured is the owner's: it changes nobody else's call, nor is it told to them.
  const defaults =
    hasSettings && trustOf(caller) === "owner"
      ? door.parts.services.configuration.defaultsFor(command.name)
      : {};
  return {
    command,
    caller,
    parameters: { ...defaults, ...said },
    configured: new Set(Object.keys(defaults).filter((key) => !Object.hasOwn(said, key))),
  };
}

function requireJson(contentType: string | null): void {
  const [type = "", ...settings] = (contentType ?? "").toLowerCase().split(";");
  const charset = settings.map((each) => each.trim()).find((each) => each.startsWith("charset="));
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset);
  if (type.trim() === "application/json" && isUtf8) return;
  throw new Refusal(
    "media_type_wrong",
    contentType === null
      ? "the body has no Content-Type"
      : "the body is not announced as JSON in UTF-8",
    "send it with Content-Type: application/json",
  );
}

/** Runs the call and counts how it ended. An abort by the client is no bug, whatever it threw. */
async function run(
  door: Door,
  { command, caller, parameters, configured }: Call,
  signal: AbortSignal,
  emit: (event: Event) => void,
): Promise<{ readonly result: unknown } | { readonly failure: Failure }> {
  const { registry, services, isolate } = door.parts;
  const startMs = performance.now();
  const ended = (outcome: CallOutcome) => {
    const seconds = (performance.now() - startMs) / 1000;
    door.metrics.countCall(command.name, outcome, seconds);
    log.debug("{command}: {outcome}", {
      command: command.name,
      outcome,
      caller: caller.provenance,
      seconds,
    });
  };
  try {
    const result = await dispatch(
      { registry, services, caller, signal, configured, ...(isolate ? { isolate } : {}), emit },
      command.name,
      parameters,
    );
    ended("done");
    return { result };
  } catch (error) {
    if (signal.aborted && !(error instanceof Refusal)) {
      ended("refused");
      return { failure: interrupted(command.name) };
    }
    const level = caller.provenance === "anonymous" ? "debug" : "info";
    const failure = failureOf(error, `running ${command.name}`, level);
    ended(failure instanceof ReportedBug ? "bug" : "refused");
    return { failure };
  }
}

function stopping(): Refusal {
  return new Refusal(
    "daemon_stopping",
    "the daemon is stopping and takes no new calls",
    "start it again with `psionic up --detach`",
  );
}

function interrupted(name: string): Refusal {
  return new Refusal(
    "interrupted",
    `${name} was stopped because its caller went away or the node stops`,
    "call it again",
  );
}

/** One document at the end; events are for the streamed forms. */
async function answerWhole(door: Door, call: Call, signal: AbortSignal): Promise<Response> {
  const outcome = await run(door, call, signal, () => {});
  if ("failure" in outcome) return failureResponse(outcome.failure, "json");
  return new Response(JSON.stringify(outcome.result ?? null), {
    headers: { "content-type": mediaTypes.json },
  });
}

/**
 * Events as they happen, then how it ended. The answer begins with the first event, or after a moment
 * without any; a call that is refused before has the status of its refusal.
 */
async function answerStreamed(
  door: Door,
  call: Call,
  form: "ndjson" | "sse",
  stop: AbortSignal,
  release: () => void,
): Promise<Response> {
  const { limits } = door;
  const stream = openStream(limits, form === "sse" ? ": still here\n\n" : "\n");
  const signal = AbortSignal.any([stop, stream.gone]);
  const begin = Promise.withResolvers<void>();
  const timer = setTimeout(begin.resolve, limits.commitMs);
  const outcome = run(door, call, signal, (event) => {
    stream.write(encodeRecord(form, { event }));
    begin.resolve();
  }).finally(release);
  const first = await Promise.race([outcome, begin.promise]);
  clearTimeout(timer);
  if (first !== undefined && "failure" in first && stream.waitingBytes() === 0) {
    stream.end();
    return failureResponse(first.failure, form);
  }
  void finish(stream, form, outcome, call.command.name);
  return new Response(stream.body, { headers: { "content-type": mediaTypes[form] } });
}

/** The last record waits for the client to have taken the others, so that its size does not count. */
async function finish(
  stream: StreamWriter,
  form: "ndjson" | "sse",
  outcome: ReturnType<typeof run>,
  name: string,
): Promise<void> {
  const ended = await outcome;
  await stream.drained();
  stream.write(lastRecord(form, ended, name));
  stream.end();
}

/** A result that JSON cannot carry is a bug of the command; nobody waits here to be told otherwise. */
function lastRecord(
  form: "ndjson" | "sse",
  ended: Awaited<ReturnType<typeof run>>,
  name: string,
): string {
  if ("failure" in ended) return encodeRecord(form, failureRecord(ended.failure));
  try {
    return encodeRecord(form, { result: ended.result ?? null });
  } catch (error) {
    return encodeRecord(form, failureRecord(failureOf(error, `answering ${name}`)));
  }
}
