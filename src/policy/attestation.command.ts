import * as v from "valibot";
import { trustOf } from "#src/command/gate.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { attestationBodySchema, attestationSchema } from "./attestation.ts";
import { readBounded } from "./policy.command.ts";

const path = (what: string) =>
  v.pipe(v.string(), v.nonEmpty(), v.maxLength(4096), v.description(what));
const executionId = v.pipe(
  v.string(),
  v.regex(/^psx[0-9a-f]{32}$/, "must be an execution's id, psx and 32 hex digits"),
  v.description("the execution's id"),
);

defineCommand({
  name: "attestation/list",
  summary: "Executions under policies, the last first; with --unfinished those that never ended.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({
    unfinished: v.optional(v.pipe(v.boolean(), v.description("only those without an end")), false),
    limit: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(1_000),
        v.description("the most to show"),
      ),
      50,
    ),
  }),
  result: v.object({
    executions: v.array(
      v.object({
        execution: v.string(),
        state: v.string(),
        policy: v.string(),
        command: v.string(),
        caller: v.string(),
        claimedMs: v.number(),
      }),
    ),
  }),
  examples: ["psionic attestation list --unfinished"],
  async run({ unfinished, limit }, { services }) {
    const { listExecutions } = await import("./execution-store.ts");
    return {
      executions: listExecutions({ onlyOpen: unfinished, limit }, services).map(
        ({ id, state, policy, command, caller, claimedMs }) => ({
          ...{ execution: id, state, policy, command, caller, claimedMs },
        }),
      ),
    };
  },
  view: (screen) => ({
    result({ executions }) {
      if (executions.length === 0) return screen.note("none");
      for (const { execution, state, policy, command, claimedMs } of executions)
        screen.print(
          [execution, state.padEnd(10), policy, command, new Date(claimedMs).toISOString()].join(
            "  ",
          ),
        );
    },
  }),
});

defineCommand({
  name: "attestation/show",
  summary: "One execution under a policy: its signals, what decided, what came of it.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({ execution: executionId }),
  positional: ["execution"],
  result: v.object({
    execution: v.string(),
    state: v.string(),
    policy: v.string(),
    command: v.string(),
    caller: v.string(),
    claimedMs: v.number(),
    endedMs: v.nullable(v.number()),
    signals: v.record(v.string(), v.unknown()),
    result: v.unknown(),
    attestation: v.nullable(attestationSchema),
  }),
  examples: ["psionic attestation show psx0123456789abcdef0123456789abcdef"],
  async run({ execution }, { services }) {
    const { showExecution } = await import("./execution-view.ts");
    return showExecution(execution, services);
  },
  view: (screen) => ({
    result({ attestation, signals, result, ...row }) {
      screen.print(`${row.execution}  ${row.state}`);
      screen.print(`policy   ${row.policy}`);
      screen.print(`command  ${row.command}`);
      screen.print(`caller   ${row.caller}`);
      screen.print(`claimed  ${new Date(row.claimedMs).toISOString()}`);
      if (attestation !== null) {
        const { outcome, rule, reason } = attestation.body;
        screen.print(`decided  ${outcome} by ${rule ?? "the default"}: ${reason}`);
      }
      for (const [name, value] of Object.entries(signals))
        screen.print(`signal   ${name} = ${JSON.stringify(value)}`);
      if (result !== null) screen.print(`result   ${JSON.stringify(result)}`);
    },
  }),
});

defineCommand({
  name: "attestation/export",
  summary: "Write an execution's attestation to a file that verifies anywhere.",
  access: "owner",
  flow: "evidence",
  parameters: v.strictObject({
    execution: executionId,
    file: path("where to write the attestation"),
    signals: v.optional(path("write the full signals there, as JSON")),
  }),
  positional: ["execution", "file"],
  paths: ["file", "signals"],
  result: v.object({ execution: v.string(), file: v.string(), key: v.string() }),
  examples: ["psionic attestation export psx0123456789abcdef0123456789abcdef run.attestation.json"],
  async run({ execution, file, signals }, { services }) {
    const [{ showExecution }, { canonicalText }] = await Promise.all([
      import("./execution-view.ts"),
      import("#src/codec/digest.ts"),
    ]);
    const shown = await showExecution(execution, services);
    const { attestation } = shown;
    if (attestation === null)
      throw new Refusal(
        "execution_not_found",
        `${execution} is ${shown.state} and has left no attestation`,
        "what never ended is never attested",
        { execution, state: shown.state },
      );
    await services.disk.publish(file, `${canonicalText(attestation)}\n`);
    if (signals !== undefined)
      await services.disk.publish(signals, `${canonicalText(shown.signals)}\n`);
    return { execution, file, key: attestation.key };
  },
  view: (screen) => ({
    result({ file, key }) {
      screen.print(file);
      screen.note(`anyone checks it with \`psionic attestation verify FILE --key ${key}\``);
    },
  }),
});

defineCommand({
  name: "attestation/verify",
  summary: "Check an attestation with nothing but the file and a public key.",
  access: "safe",
  flow: "evidence",
  parameters: v.strictObject({
    file: v.optional(path("the attestation (the node's owner only; others send the document)")),
    document: v.optional(
      v.pipe(v.record(v.string(), v.unknown()), v.description("the attestation itself, as JSON")),
    ),
    key: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-9a-fA-F]{64}$/, "must be 64 hex digits"),
        v.description("the public key that must have signed it"),
      ),
    ),
    signals: v.optional(
      v.pipe(
        v.union([
          v.pipe(v.string(), v.nonEmpty(), v.maxLength(4096)),
          v.record(v.string(), v.unknown()),
        ]),
        v.description("the signals it should be about: a file, or JSON"),
      ),
    ),
  }),
  positional: ["file"],
  paths: ["file"],
  result: v.object({
    author: v.string(),
    /** False where the author's id is not made of the key: that it is the author's is the caller's word. */
    isAuthorProven: v.boolean(),
    key: v.string(),
    atMs: v.number(),
    body: attestationBodySchema,
    signalsChecked: v.boolean(),
  }),
  examples: ["psionic attestation verify run.attestation.json"],
  async run({ file, document, key, signals }, { services, caller }) {
    const { readAttestation, verifyAttestation } = await import("./attestation.ts");
    const { nodeIdOf } = await import("#src/receipt/signature.ts");
    const read = async (from: string) => {
      if (trustOf(caller) !== "owner")
        throw new Refusal(
          "not_authorised",
          "only the node's owner has files read there",
          "send the document itself",
        );
      return readAttestation(await readBounded(from, services.disk));
    };
    if ((file === undefined) === (document === undefined))
      throw new Refusal("usage", "give a file or a document", "name the attestation's file");
    const given = file === undefined ? document : await read(file);
    const about = typeof signals === "string" ? await read(signals) : signals;
    const { author, key: signer, atMs, body } = verifyAttestation(given, { key, signals: about });
    const isAuthorProven = nodeIdOf(signer) === author;
    return { author, isAuthorProven, key: signer, atMs, body, signalsChecked: about !== undefined };
  },
  view: (screen) => ({
    result({ author, isAuthorProven, key, body, signalsChecked }) {
      const { execution, policy, revision, command, outcome, ended, rule, reason } = body;
      screen.print(`holds    ${execution}`);
      screen.print(`author   ${author}${isAuthorProven ? "" : ", as it says"}`);
      screen.print(`key      ${key}`);
      if (!isAuthorProven)
        screen.note(
          "the key is not the author's first: see the author's rotations that it is theirs",
        );
      screen.print(
        `policy   ${policy}@${revision}: ${outcome} by ${rule ?? "the default"}: ${reason}`,
      );
      screen.print(`command  ${command}: ${ended}`);
      if (signalsChecked) screen.print("signals  are those the policy saw");
    },
  }),
});
