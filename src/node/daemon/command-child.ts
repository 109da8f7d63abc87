/** The process in which a daemon runs one command that computes, so that its crash stays its own. */
import type { Services } from "#src/command/define.ts";
import { runAdmitted } from "#src/command/dispatch.ts";
import type { ParentProcess } from "#src/port/process.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  type FromCommandChild,
  packRefusal,
  type ToCommandChild,
  unpackRefusal,
} from "./command-messages.ts";

/** Waits for `run`, runs it, says how it ended, and goes when told to. */
export async function runCommandChild(parent: ParentProcess, services: Services): Promise<void> {
  const send = (message: FromCommandChild) => parent.send(message);
  const stop = new AbortController();
  const ended = Promise.withResolvers<void>();
  parent.onMessage((received) => {
    const message = received as ToCommandChild;
    if (message.type === "stop") stop.abort(unpackRefusal(message.refusal));
    else if (message.type === "end") ended.resolve();
    else void work(message);
  });
  async function work(message: ToCommandChild & { type: "run" }): Promise<void> {
    try {
      send({ type: "result", result: await run(message) });
    } catch (error) {
      if (error instanceof Refusal) send({ type: "refusal", refusal: packRefusal(error) });
      else send({ type: "bug", ...described(error) });
    }
  }
  async function run(message: ToCommandChild & { type: "run" }): Promise<unknown> {
    await protectFromOrphanhood();
    const { name, parameters, caller, configured, withinUse } = message;
    // What it calls in turn is judged here, and a peer's grant by the node's own key.
    if (caller.provenance === "peer") await services.receipts.open();
    const command = services.registry.get(name);
    assert(command !== undefined, `"${name}" is a command of this build`);
    const call = {
      registry: services.registry,
      services,
      caller,
      signal: stop.signal,
      configured: new Set(configured),
      withinUse,
      emit: (event: { readonly type: string }) => send({ type: "event", event }),
    };
    return runAdmitted(call, command, parameters);
  }
  await ended.promise;
}

function described(error: unknown): { message: string; stack: string } {
  const message = error instanceof Error ? error.message : String(error);
  return { message, stack: error instanceof Error ? (error.stack ?? message) : message };
}

/** A child stuck in native code outlives a killed parent unless the system ends it. */
async function protectFromOrphanhood(): Promise<void> {
  try {
    const { dieWithParent } = await import("#src/kernel/cpu/library.ts");
    dieWithParent();
  } catch {
    // Without the kernel library there is no native code to be stuck in; the closed channel ends us.
  }
}
