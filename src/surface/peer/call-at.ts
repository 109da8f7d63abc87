import type { CommandContext, Services } from "#src/command/define.ts";
import { presentedGrant } from "#src/peer/own-facts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { callMet } from "./call-met.ts";
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
  const met = await dialUntil(signal, services, request);
  const { sender: node, mesh } = met.peer;
  emit({ type: "peer.met", node, mesh, command: call.name });
  const grant = presentedGrant(services, node);
  return callMet(services, met, { ...call, grant }, { signal, emit });
}
