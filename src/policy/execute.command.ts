import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { InnerView } from "#src/command/inner-view.ts";
import { defineCommand, registry } from "#src/command/registry.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { attestationSchema } from "./attestation.ts";

const json = v.record(v.pipe(v.string(), v.maxLength(100)), v.unknown());

defineCommand({
  name: "execute",
  summary: "Run a command if a policy allows it, at most once, and leave a signed attestation.",
  access: "member",
  flow: "evidence",
  place: "node",
  parameters: v.strictObject({
    command: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(100),
      v.description("the command, such as run/start"),
    ),
    policy: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(100),
      v.description("the policy that decides, as NAME@REVISION"),
    ),
    parameters: v.optional(v.pipe(json, v.description("the command's parameters, as JSON")), {}),
    signals: v.optional(
      v.pipe(json, v.description("signals the policy declares beside those of the node, as JSON")),
      {},
    ),
    key: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(128),
        v.description("any text: with another key the same request counts as new and runs again"),
      ),
      "",
    ),
    file: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(4096),
        v.description("write the attestation there (at a terminal of the node only)"),
      ),
    ),
  }),
  positional: ["command"],
  paths: ["file"],
  result: v.object({
    execution: v.string(),
    policy: v.string(),
    command: v.string(),
    outcome: v.literal("allow"),
    rule: v.nullable(v.string()),
    reason: v.string(),
    result: v.unknown(),
    attestation: attestationSchema,
    attestationDigest: v.string(),
  }),
  examples: ["psionic execute version --policy small-runs@1"],
  async run({ file, command, ...request }, context) {
    if (file !== undefined && context.caller.provenance !== "local")
      throw new Refusal(
        "not_authorised",
        "only a terminal of the node writes files there",
        "leave file out; the result holds the attestation",
      );
    const { execute } = await import("./execute.ts");
    const asked = { ...request, command: command.trim().replaceAll(" ", "/") };
    return execute(asked, context, async (attestation) => {
      if (file !== undefined) await writeAttestation(file, attestation, context.services);
    });
  },
  view(screen) {
    const inner = new InnerView(screen, registry);
    return {
      event(event) {
        if (!inner.isChosen && event.type === "execution.allowed")
          inner.choose(String(event["command"]));
        else inner.event(event);
      },
      result({ execution, policy, rule, reason, result }) {
        inner.result(result);
        screen.note(`${execution}: ${policy} allowed it by ${rule ?? "its default"}: ${reason}`);
      },
    };
  },
});

/** The execution has ended by now, so a disk that fails takes nothing back. */
async function writeAttestation(path: string, attestation: Receipt, services: Services) {
  const { canonicalText } = await import("#src/codec/digest.ts");
  try {
    await services.disk.publish(path, `${canonicalText(attestation)}\n`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { subject } = attestation;
    throw new Refusal(
      error.code,
      `${subject} was executed, but its attestation could not be written: ${error.message}`,
      `\`psionic attestation export ${subject} FILE\` writes it elsewhere`,
      { ...error.details, execution: subject, attestation },
    );
  }
}
