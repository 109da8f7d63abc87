import { canonicalText, digestBytes, digestJson, type Digest } from "#src/codec/digest.ts";
import type { Caller } from "#src/command/caller.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import { checkParameters, unknownCommand } from "#src/command/dispatch.ts";
import { trustOf } from "#src/command/gate.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import type { LoggedReceipt } from "#src/receipt/receipt-log.ts";
import { identityDigestOf } from "#src/receipt/runtime-manifest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Ending } from "./attestation.ts";
import { evaluatePolicy, type Decision } from "./evaluate.ts";
import { claimExecution, endExecution, leaveExecution, type Claim } from "./execution-store.ts";
import { contentDigest, referenceOf } from "./policy.ts";
import { loadPolicy, type StoredPolicy } from "./policy-store.ts";
import { plainJson } from "./plain.ts";
import {
  checkSignals,
  isReserved,
  knownSignals,
  parameterPrefix,
  signalsDigestOf,
  type Signals,
} from "./signals.ts";

/** Largest canonical text of the parameters of an executed command, in characters. */
const parametersMaximum = 65_536;

/** A command asked for under a policy. */
export interface ExecutionRequest {
  /** `NAME@REVISION`. */
  readonly policy: string;
  readonly command: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What the caller adds to the signals the node computes. */
  readonly signals: Readonly<Record<string, unknown>>;
  /** Makes a request that was made before another one. */
  readonly key: string;
}

export interface ExecutionResult {
  readonly execution: string;
  readonly policy: string;
  readonly command: string;
  readonly outcome: "allow";
  readonly rule: string | null;
  readonly reason: string;
  readonly result: unknown;
  readonly attestation: Receipt;
  readonly attestationDigest: Digest;
}

/** What an execution left behind, for a caller that is refused its result. */
type Left = (attestation: Receipt) => Promise<void>;

/** A claimed execution with everything its end needs. */
interface Execution {
  readonly claim: Claim;
  readonly stored: StoredPolicy;
  readonly decision: Decision;
  readonly services: Services;
}

/**
 * Executes a command under a policy, at most once (A-8): the policy is loaded and verified, the
 * signals are typed, the request is claimed for ever, the policy decides, the command runs as the same
 * caller through the gate (A-5), and an attestation is left, however it ended.
 *
 * Refusals: those of the gate for the command, of `loadPolicy` and of signals; `policy_signal_reserved`,
 * `execution_duplicate`, `policy_denied`, and whatever the command refuses, with `execution` and
 * `attestation` among the details.
 */
export async function execute(
  request: ExecutionRequest,
  context: CommandContext,
  left: Left,
): Promise<ExecutionResult> {
  const { services } = context;
  const parameters = admittedParameters(request, context);
  const stored = await loadPolicy(request.policy, services);
  const { nodeId } = (await services.receipts.open()).author;
  const signals = signalsOf(request, stored, parameters, context.caller, nodeId);
  const claim: Claim = {
    ...identify(request, stored, parameters, callerNode(context.caller, nodeId)),
    signals,
    runtimeDigest: await runtimeDigestOf(services),
  };
  claimExecution(claim, services);
  try {
    const decision = evaluatePolicy(stored.policy, signals);
    const execution = { claim, stored, decision, services };
    return await runClaimed(execution, request, context, left);
  } finally {
    leaveExecution(claim, services);
  }
}

async function runClaimed(
  execution: Execution,
  request: ExecutionRequest,
  context: CommandContext,
  left: Left,
): Promise<ExecutionResult> {
  const { claim, decision } = execution;
  if (decision.outcome === "deny") {
    const { receipt } = await end(execution, "denied", null);
    await left(receipt);
    throw denied(execution, receipt);
  }
  context.emit({
    ...{ type: "execution.allowed", execution: claim.id, policy: claim.policy },
    ...{ command: claim.command, rule: decision.rule, reason: decision.reason },
  });
  const result = await runCommand(execution, request, context, left);
  const { receipt, digest } = await end(execution, "done", result);
  await left(receipt);
  return {
    execution: claim.id,
    policy: claim.policy,
    command: claim.command,
    outcome: "allow",
    rule: decision.rule,
    reason: decision.reason,
    result,
    attestation: receipt,
    attestationDigest: digest,
  };
}

/** The command's result; where it fails, the attestation says so and the failure goes on. */
async function runCommand(
  execution: Execution,
  request: ExecutionRequest,
  context: CommandContext,
  left: Left,
): Promise<unknown> {
  const { claim } = execution;
  try {
    return (await context.call(claim.command, request.parameters)) ?? null;
  } catch (error) {
    if (!(error instanceof Refusal)) {
      await end(execution, "failed", {
        bug: error instanceof Error ? error.message : String(error),
      });
      throw error;
    }
    const { code, message, hint, details } = error;
    const { receipt } = await end(execution, "refused", { code, message, details });
    await left(receipt);
    throw new Refusal(code, message, hint, {
      ...details,
      execution: claim.id,
      attestation: receipt,
    });
  }
}

/** Judged before anything is claimed, so that a caller who may not call it learns nothing else. */
function admittedParameters(
  { command: name, parameters, key }: ExecutionRequest,
  { services, judge }: CommandContext,
): unknown {
  const command = services.registry.get(name);
  if (command === undefined) throw unknownCommand(services.registry, name);
  const judgement = judge(command);
  if (judgement.by === null) throw judgement.refusal;
  if (name === "execute")
    throw new Refusal("usage", "execute cannot execute itself", "name the command itself");
  const { value: checked, isWhole } = plainJson(checkParameters(command, parameters));
  if (!isWhole || !plainJson(key).isWhole)
    throw new Refusal("usage", "a text holds half a character", "give whole characters");
  const length = canonicalText(checked).length;
  if (length <= parametersMaximum) return checked;
  throw new Refusal(
    "usage",
    `the parameters are ${length} characters long; ${parametersMaximum} are allowed`,
    "put long values into a file that the command reads",
  );
}

/** The signals of a request: what the node computes, the command's parameters, what the caller adds. */
function signalsOf(
  request: ExecutionRequest,
  { policy }: StoredPolicy,
  parameters: unknown,
  caller: Caller,
  self: string,
): Signals {
  const reserved = Object.keys(request.signals).find(isReserved);
  if (reserved !== undefined)
    throw new Refusal(
      "policy_signal_reserved",
      `the signal ${reserved} is computed by the node`,
      "leave it out of --signals",
      { signal: reserved },
    );
  const known = knownSignals(policy.signals);
  const named = Object.entries(parameters as Record<string, unknown>)
    .map(([name, value]) => [parameterPrefix + name, value] as const)
    .filter(([name]) => known.has(name));
  return checkSignals(known, {
    ...request.signals,
    ...Object.fromEntries(named),
    "caller.provenance": caller.provenance,
    "caller.trust": trustOf(caller),
    "caller.node": callerNode(caller, self),
    command: request.command,
    parameters: digestJson(parameters),
  });
}

/** Who asks, by node id: the owner is the node itself, however the call arrived. */
function callerNode(caller: Caller, self: string): string {
  if (caller.provenance === "peer") return caller.nodeId;
  return caller.provenance === "anonymous" ? "" : self;
}

/** The request's fingerprint: two requests with the same one are the same execution. */
function identify(
  request: ExecutionRequest,
  { policy, digest }: StoredPolicy,
  parameters: unknown,
  caller: string,
): Omit<Claim, "signals" | "runtimeDigest"> {
  const parametersDigest = digestJson(parameters);
  const { command, signals, key } = request;
  const fingerprint = digestJson({
    ...{ type: "psionic-execution", version: 1, policy: contentDigest(policy), command },
    ...{ parametersDigest, signals, key, caller },
  });
  return {
    id: `psx${fingerprint.slice(0, 32)}`,
    fingerprint,
    policy: referenceOf(policy),
    policyDigest: digest,
    command,
    parametersDigest,
    caller,
  };
}

const runtimeDigests = new WeakMap<object, Promise<Digest>>();

/** What runs here does not change while the process lives, so it is computed once. */
function runtimeDigestOf({ runtime }: Services): Promise<Digest> {
  const known = runtimeDigests.get(runtime);
  if (known !== undefined) return known;
  const computed = runtime.manifest().then(identityDigestOf);
  runtimeDigests.set(runtime, computed);
  computed.catch(() => runtimeDigests.delete(runtime));
  return computed;
}

/** The log is opened again: the node's key may have been rotated while the command ran. */
async function end(execution: Execution, ended: Ending, said: unknown): Promise<LoggedReceipt> {
  const { claim, stored, decision, services } = execution;
  const resultText = ended === "denied" ? null : canonicalText(plainJson(said).value);
  const body = {
    execution: claim.id,
    policy: stored.policy.name,
    revision: stored.policy.revision,
    policyDigest: claim.policyDigest,
    command: claim.command,
    parametersDigest: claim.parametersDigest,
    signalsDigest: signalsDigestOf(claim.signals),
    outcome: decision.outcome,
    rule: decision.rule,
    reason: decision.reason,
    ended,
    resultDigest: resultText === null ? null : digestBytes(resultText),
    runtimeDigest: claim.runtimeDigest,
    fingerprint: claim.fingerprint,
  };
  const log = await services.receipts.open();
  return endExecution(claim, body, resultText, { services, log });
}

function denied({ claim, decision }: Execution, attestation: Receipt): Refusal {
  return new Refusal(
    "policy_denied",
    `${claim.policy} denies ${claim.command}: ${decision.reason}`,
    `\`psionic policy show ${claim.policy}\` shows its rules: ${decision.rule === null ? "none held" : `${decision.rule} decided`}`,
    { execution: claim.id, policy: claim.policy, ...decision, attestation },
  );
}
