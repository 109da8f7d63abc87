import { getLogger } from "@logtape/logtape";
import type { Isolate } from "#src/command/dispatch.ts";
import type { AnyCommand } from "#src/command/registry.ts";
import type { Clock } from "#src/port/clock.ts";
import type { ChildProcess, Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  type FromCommandChild,
  packRefusal,
  type ToCommandChild,
  unpackRefusal,
} from "./command-messages.ts";

/** Commands that compute at the same time; each has a process and its own native memory. */
export const commandChildMaximum = 2;
/** Commands that may wait for their turn; one more is refused with `daemon_busy`. */
export const commandWaitingMaximum = 32;
/** How long a child may take to stop in order before it is ended. */
const stopMaximumMs = 20_000;
/** How long a child that has said everything may take to go. */
const leaveMaximumMs = 2_000;

const log = getLogger(["psionic", "command"]);

type Context = Parameters<Isolate>[2];

/** Runs commands that compute in children of a daemon, a few at a time. */
export class CommandChildren {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    readonly processes: Processes,
    readonly clock: Clock,
  ) {}

  /**
   * As the command itself would: its events, its result, its refusals. Also refused with `daemon_busy`
   * where too many wait, and with `command_crashed` where the child died.
   */
  readonly isolate: Isolate = async (command, parameters, context) => {
    await this.#turn(context.signal);
    try {
      return await this.#run(command, parameters, context);
    } finally {
      // The place goes straight to the next in line, so that nobody slips in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  };

  /** Takes a place among the running ones, or waits for one; gives up when the call is aborted. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < commandChildMaximum) {
      this.#running++;
      return;
    }
    if (this.#waiting.length >= commandWaitingMaximum) throw busy();
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn.resolve);
    const leave = () => {
      const place = this.#waiting.indexOf(turn.resolve);
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      turn.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    await turn.promise.finally(() => signal.removeEventListener("abort", leave));
  }

  async #run(command: AnyCommand, parameters: unknown, context: Context): Promise<unknown> {
    const outcome = Promise.withResolvers<FromCommandChild>();
    const child = this.processes.spawnSelf("command", (received) => {
      const message = received as FromCommandChild;
      if (message.type === "event") context.emit(message.event);
      else outcome.resolve(message);
    });
    const stop = () => this.#stop(child, context.signal.reason);
    context.signal.addEventListener("abort", stop, { once: true });
    const { name } = command;
    const { caller, configured, withinUse = false } = context;
    tell(child, {
      ...{ type: "run", name, parameters, caller, configured: [...configured], withinUse },
    });
    if (context.signal.aborted) stop();
    const died = child.exited.then(({ status, signal }) =>
      signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`,
    );
    try {
      const ended = await Promise.race([outcome.promise, died]);
      if (typeof ended === "string") throw this.#death(name, ended, context.signal);
      return settle(ended);
    } finally {
      context.signal.removeEventListener("abort", stop);
      await this.#leave(child);
    }
  }

  /** A child that was told to stop and did not say how it ended was interrupted, not crashed. */
  #death(name: string, ended: string, signal: AbortSignal): unknown {
    if (signal.aborted && signal.reason instanceof Refusal) return signal.reason;
    log.error("the process of {name} died: {ended}", { name, ended });
    const words = name.replaceAll("/", " ");
    return new Refusal(
      "command_crashed",
      `the process that ran ${words} died: ${ended}`,
      "call it again; `psionic doctor` checks the machine",
      { command: name, reason: ended },
    );
  }

  #stop(child: ChildProcess, reason: unknown): void {
    const refusal =
      reason instanceof Refusal
        ? reason
        : new Refusal("interrupted", "the caller went away", "call it again");
    tell(child, { type: "stop", refusal: packRefusal(refusal) });
    void this.#endAfter(child, stopMaximumMs);
  }

  async #leave(child: ChildProcess): Promise<void> {
    tell(child, { type: "end" });
    await this.#endAfter(child, leaveMaximumMs);
  }

  /** Resolves when the child has gone, by itself or by force after a while. */
  async #endAfter(child: ChildProcess, afterMs: number): Promise<void> {
    const gone = new AbortController();
    const late = this.clock.sleep(afterMs, gone.signal).then(
      () => child.kill("SIGKILL"),
      () => {},
    );
    await child.exited;
    gone.abort(new Error("the child has gone"));
    await late;
  }
}

function settle(ended: FromCommandChild): unknown {
  switch (ended.type) {
    case "result":
      return ended.result;
    case "refusal":
      throw unpackRefusal(ended.refusal);
    case "bug":
      throw Object.assign(new Error(ended.message), { stack: ended.stack });
    case "event":
      throw new Error("an event ends nothing");
  }
}

function busy(): Refusal {
  return new Refusal(
    "daemon_busy",
    `${commandChildMaximum} commands compute and ${commandWaitingMaximum} wait already`,
    "try again when some have ended",
    { running: commandChildMaximum, waiting: commandWaitingMaximum },
  );
}

/** A message to a child that may have died meanwhile; its end is seen elsewhere. */
function tell(child: ChildProcess, message: ToCommandChild): void {
  try {
    child.send(message);
  } catch {
    // `exited` tells.
  }
}
