import * as v from "valibot";
import { tokenTextMaximum } from "#src/cluster/join-token.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { parseAddress } from "#src/peer/address.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkMachine } from "./doctor.ts";

const checkShape = v.object({
  name: v.string(),
  passed: v.boolean(),
  found: v.string(),
  fix: v.nullable(v.string()),
});

defineCommand({
  name: "doctor",
  summary:
    "What this machine can do, or what stands between it and another node; what to fix first.",
  access: "owner",
  flow: "start",
  computes: true,
  parameters: v.strictObject({
    peer: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(300),
        v.description("look at the way to the node at this HOST:PORT instead of at the machine"),
      ),
    ),
    pin: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal characters"),
        v.description("with --peer: SHA-256 of the certificate that must show there"),
      ),
    ),
    to: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^psn[a-z2-7]{32}$/, "must be a node id"),
        v.description("with --peer: the node that must answer"),
      ),
    ),
    token: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(tokenTextMaximum),
        v.description("with --peer: also ask whether this join token would let this node in"),
      ),
    ),
  }),
  result: v.object({
    passed: v.boolean(),
    checks: v.array(checkShape),
    machine: v.record(v.string(), v.unknown()),
  }),
  examples: [
    ...["psionic doctor", "psionic doctor --json", "psionic doctor --peer 10.0.0.7:7420"],
    "psionic doctor --peer 10.0.0.7:7420 --token psn1_…",
  ],
  async run(request, context) {
    if (request.peer !== undefined) return checkPeer({ ...request, peer: request.peer }, context);
    const { services, emit } = context;
    if ((request.pin ?? request.to ?? request.token) !== undefined)
      throw new Refusal(
        "usage",
        "--pin, --to and --token say who must be at another node's address",
        "give the address too: --peer HOST:PORT",
      );
    const machine = await services.machine.facts();
    const lanes = await services.machine.lanes().catch((): readonly string[] => []);
    const checks = await checkMachine(machine, services);
    for (const check of checks) emit({ type: "check", ...check });
    const failing = checks.filter(({ passed }) => !passed);
    if (failing.length > 0) {
      throw new Refusal(
        "machine_unfit",
        `${failing.map(({ name }) => name).join(", ")}: not as psionic needs it`,
        failing[0]!.fix ?? "see the failing lines above",
        { failing, machine },
      );
    }
    return { passed: true, checks, machine: { ...machine, lanes } };
  },
  view: (screen) => ({
    event(event) {
      const { name, passed, found, fix } = event as unknown as v.InferOutput<typeof checkShape>;
      const mark = passed ? "ok  " : "FAIL";
      const colour = passed ? "32" : "31";
      const shown = screen.colour ? `\x1b[${colour}m${mark}\x1b[0m` : mark;
      screen.print(`${shown}  ${name.padEnd(10)}  ${found}`);
      if (fix !== null) screen.print(`      fix: ${fix}`);
    },
    result() {},
  }),
});

interface PeerRequest {
  readonly peer: string;
  readonly pin?: string;
  readonly to?: string;
  readonly token?: string;
}

/** The way to another node, step by step. Refused with what stands in it (src/surface/peer/diagnose.ts). */
async function checkPeer(request: PeerRequest, { services, signal, emit }: CommandContext) {
  const { diagnosePeer } = await import("#src/surface/peer/diagnose.ts");
  const { peer, token, ...wanted } = request;
  await haveIdentity(services);
  const place = parseAddress(peer);
  const tell = (check: v.InferOutput<typeof checkShape>) => emit({ type: "check", ...check });
  const probe = token === undefined ? {} : await probeOf(token, request, services, tell);
  const checks = await diagnosePeer(services, { place, ...wanted, ...probe }, { signal }, tell);
  return { passed: true, checks, machine: {} };
}

/** A node says who it is on the way: one that is about to join for the first time becomes somebody here. */
async function haveIdentity(services: Services): Promise<void> {
  try {
    await services.identity.open();
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "identity_absent") throw error;
    services.lock();
    await services.identity.openOrCreate();
  }
}

/** What a token asks for; one that cannot be read fails at the step of its name. */
async function probeOf(
  text: string,
  { pin }: PeerRequest,
  services: Services,
  tell: (check: v.InferOutput<typeof checkShape>) => void,
) {
  const { admissionProbe } = await import("./admission-probe.ts");
  try {
    const asked = await admissionProbe(services, text);
    if (pin === undefined || pin === asked.certificate) return asked;
    throw new Refusal(
      "usage",
      "--pin names another certificate than the token does",
      "give the token alone: it says which certificate must show",
    );
  } catch (error) {
    if (error instanceof Refusal && error.code === "token_malformed")
      tell({ name: "token", passed: false, found: error.message, fix: error.hint });
    throw error;
  }
}
