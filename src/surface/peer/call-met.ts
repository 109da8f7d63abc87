import type { CommandContext, Services } from "#src/command/define.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import type { Met } from "./dial.ts";

/**
 * Calls one command of a node that was just met, gives its result and ends the connection, also when the
 * signal aborts. Refusals: as `callPeer`.
 */
export async function callMet(
  services: Services,
  { connection, peer }: Met,
  call: {
    readonly name: string;
    readonly parameters: JsonObject;
    readonly grant: JsonObject | null;
  },
  { signal, emit }: Pick<CommandContext, "signal" | "emit">,
): Promise<unknown> {
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const { clock, random, trust, receipts } = services;
    const log = await receipts.open();
    const { rotations } = ownFacts(log);
    const parts = { clock, random, trust, signal, emit, rotations, identity: log.author };
    return await callPeer(connection.openLine(), peer, call, parts);
  } catch (error) {
    // The connection ends because of the signal; that, and not its end, is why nothing came back.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
