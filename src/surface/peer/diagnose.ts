import type { Digest } from "#src/codec/digest.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { callPeer } from "#src/peer/call.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { dialUntil, type Met } from "./dial.ts";

/** One step on the way to another node, and how it went. */
export interface PeerCheck {
  readonly name: string;
  readonly passed: boolean;
  readonly found: string;
  /** What to do, where it did not pass. */
  readonly fix: string | null;
}

/** A call that says whether the node would take this one in, and changes nothing. */
export interface AdmissionProbe {
  readonly name: string;
  readonly parameters: JsonObject;
  /** The mesh the token is for. */
  readonly mesh: string;
}

export interface Diagnosis {
  readonly place: PeerAddress;
  readonly pin?: string;
  readonly to?: string;
  /** The certificate that the token names. */
  readonly certificate?: Digest;
  readonly probe?: AdmissionProbe;
}

/** What admission judges, in this order: whoever fails at one has passed those before. */
const admissionSteps = ["mesh", "version", "clock", "token", "identity", "claims"] as const;
type AdmissionStep = (typeof admissionSteps)[number];

/** At which of them a refusal of admission shows. */
const admissionStepOf: Readonly<Record<string, AdmissionStep>> = {
  mesh_wrong: "mesh",
  version_unfit: "version",
  clock_skewed: "clock",
  token_wrong: "token",
  token_expired: "token",
  token_used: "token",
  node_duplicate: "identity",
  epoch_stale: "identity",
  home_copied: "identity",
  manifest_outside: "claims",
  claims_missing: "claims",
};

const admissionFound: Readonly<Record<AdmissionStep, string>> = {
  mesh: "the token is for the mesh of that node",
  version: "both speak one version of the cluster's protocol",
  clock: "this clock is near enough to the mesh's",
  token: "the token opens the mesh",
  identity: "no member has this node's id",
  claims: "the mesh asks for no claims that this node lacks",
};

/** At which step any other refusal shows; what is not named here shows at the call. */
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
 * Goes the whole way to another node, step by step, and ends with a harmless call: the command `version`,
 * which tells whether the clocks agree and this node may call, or where there is a token the question
 * whether it would be admitted. Every step is told as it ends; the first that fails is thrown as its refusal.
 */
export async function diagnosePeer(
  services: Services,
  request: Diagnosis,
  { signal }: Pick<CommandContext, "signal">,
  tell: (check: PeerCheck) => void,
): Promise<PeerCheck[]> {
  const checks: PeerCheck[] = [];
  const add = (check: PeerCheck) => {
    checks.push(check);
    tell(check);
  };
  const passed = (name: string, found: string) => add({ name, passed: true, found, fix: null });
  const { probe, ...way } = request;
  try {
    const met = await dialUntil(signal, services, { ...way, again: null }, passed);
    try {
      if (probe === undefined) {
        await call(services, met, signal, { name: "version", parameters: {} });
        passed("clock", "both clocks agree well enough");
      } else await tryAdmission(services, met, signal, probe, passed);
      passed("standing", `${addressText(request.place)} answers this node's calls`);
    } finally {
      met.connection.close();
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const refusal = probe === undefined ? error : ofToken(error, probe);
    const { code, message, hint } = refusal;
    const step = steps[code] ?? admissionStepOf[code] ?? "call";
    add({ name: step, passed: false, found: message, fix: hint });
    throw refusal;
  }
  return checks;
}

/** Asks whether this node would be admitted; of a refusal, what was judged before it has passed. */
async function tryAdmission(
  services: Services,
  met: Met,
  signal: AbortSignal,
  probe: AdmissionProbe,
  passed: (name: string, found: string) => void,
): Promise<void> {
  try {
    await call(services, met, signal, probe);
  } catch (error) {
    const failing = error instanceof Refusal ? admissionStepOf[error.code] : undefined;
    const count = failing === undefined ? 0 : admissionSteps.indexOf(failing);
    for (const step of admissionSteps.slice(0, count)) passed(step, admissionFound[step]);
    throw error;
  }
  for (const step of admissionSteps) passed(step, admissionFound[step]);
}

async function call(
  services: Services,
  { connection, peer }: Met,
  signal: AbortSignal,
  words: { readonly name: string; readonly parameters: JsonObject },
): Promise<void> {
  const { clock, random, trust, receipts } = services;
  const log = await receipts.open();
  const { rotations } = ownFacts(log);
  const { name, parameters } = words;
  await callPeer(
    connection.openLine(),
    peer,
    { name, parameters, grant: null },
    { clock, random, trust, signal, rotations, identity: log.author, emit() {} },
  );
}

/** A certificate that the token does not name: another machine's token, or another machine. */
function ofToken(refusal: Refusal, { mesh }: AdmissionProbe): Refusal {
  const { code, message, details } = refusal;
  if (code !== "certificate_changed") return refusal;
  return new Refusal(
    code,
    `${message}, which the token names`,
    `the token is for a member of ${mesh}: take the address and the token from one join line, and a new line where that machine's home was made anew`,
    details,
  );
}
