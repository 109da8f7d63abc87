import type { CommandContext, Services } from "#src/command/define.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { dialUntil } from "./dial.ts";

/** One step on the way to another node, and how it went. */
export interface PeerCheck {
  readonly name: string;
  readonly passed: boolean;
  readonly found: string;
  /** What to do, where it did not pass. */
  readonly fix: string | null;
}

/** At which step a refusal shows; what is not named here shows at the call. */
const steps: Readonly<Record<string, string>> = {
  peer_name_unknown: "name",
  peer_port_closed: "port",
  peer_silent: "port",
  peer_not_tls: "tls",
  certificate_changed: "pin",
  peer_not_psionic: "psionic",
  peer_version: "psionic",
  hello_forged: "psionic",
  channel_unbound: "psionic",
  peer_unexpected: "node",
  envelope_stale: "clock",
  peer_blocked: "standing",
};

/**
 * Goes the whole way to another node, step by step, and ends with the harmless command `version`, which
 * tells whether the clocks agree and this node may call. Every step is told as it ends; the first that fails
 * is thrown as its refusal.
 */
export async function diagnosePeer(
  services: Services,
  request: { readonly place: PeerAddress; readonly pin?: string; readonly to?: string },
  { signal }: Pick<CommandContext, "signal">,
  tell: (check: PeerCheck) => void,
): Promise<PeerCheck[]> {
  const checks: PeerCheck[] = [];
  const add = (check: PeerCheck) => {
    checks.push(check);
    tell(check);
  };
  const passed = (name: string, found: string) => add({ name, passed: true, found, fix: null });
  try {
    const { connection, peer } = await dialUntil(
      signal,
      services,
      { ...request, again: null },
      passed,
    );
    try {
      const { clock, random, trust, receipts } = services;
      const log = await receipts.open();
      const { rotations } = ownFacts(log);
      await callPeer(
        connection.openLine(),
        peer,
        { name: "version", parameters: {}, grant: null },
        { clock, random, trust, signal, rotations, identity: log.author, emit() {} },
      );
      passed("clock", "both clocks agree well enough");
      passed("standing", `${addressText(request.place)} answers this node's calls`);
    } finally {
      connection.close();
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, hint } = error;
    add({ name: steps[code] ?? "call", passed: false, found: message, fix: hint });
    throw error;
  }
  return checks;
}
