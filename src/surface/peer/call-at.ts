import type { CommandContext, Services } from "#src/command/define.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts, presentedGrant } from "#src/peer/own-facts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { dialUntil, type DialRequest } from "./dial.ts";

/**
 * Calls one command of the node at an address and gives its result. The event `peer.met` comes first
 * and says who answers; those of the command follow. Refusals: as `dialPeer` and `callPeer`.
 */
export async function callAt(
  services: Services,
  request: DialRequest,
  call: { readonly name: string; readonly parameters: JsonObject },
  { signal, emit }: Pick<CommandContext, "signal" | "emit">,
): Promise<unknown> {
  const log = await services.receipts.open();
  const { connection, peer } = await dialUntil(signal, services, request);
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    emit({ type: "peer.met", node: peer.sender, mesh: peer.mesh, command: call.name });
    const { clock, random, trust } = services;
    const { rotations } = ownFacts(log);
    const grant = presentedGrant(services, peer.sender);
    return await callPeer(
      connection.openLine(),
      peer,
      { ...call, grant },
      { clock, random, trust, signal, emit, rotations, identity: log.author },
    );
  } catch (error) {
    // The connection ends because of the signal; that, and not its end, is why nothing came back.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
