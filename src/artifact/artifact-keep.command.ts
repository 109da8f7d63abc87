import * as v from "valibot";
import { durationMsOf, durationShape } from "#src/codec/duration.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { showBytes } from "./byte-size.ts";
import { artifactParameter } from "./parameter-entries.ts";
import { pointerNameSchema } from "./pointers.ts";

defineCommand({
  name: "artifact/verify",
  summary: "Read artifacts and prove every byte; damage is set aside and named.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({ artifact: v.optional(artifactParameter) }),
  positional: ["artifact"],
  result: v.strictObject({
    whole: v.array(v.string()),
    broken: v.array(v.strictObject({ artifact: v.string(), chunks: v.array(v.string()) })),
    readBytes: v.number(),
  }),
  examples: ["psionic artifact verify"],
  async run({ artifact: words }, { services, signal }) {
    const { verifyArtifacts } = await import("./verify.ts");
    const shelf = await services.artifacts.open();
    const only = words === undefined ? null : shelf.catalog.resolve(words);
    const verified = await verifyArtifacts(shelf, only, signal);
    const [first] = verified.broken;
    if (first === undefined) return { ...verified, whole: [...verified.whole], broken: [] };
    throw new Refusal(
      "artifact_damaged",
      `${verified.broken.length} of ${verified.broken.length + verified.whole.length} artifacts are not whole`,
      `\`psionic artifact pull ${first.artifact} --from …\` brings what is missing`,
      { broken: verified.broken.slice(0, 100), whole: verified.whole.length },
    );
  },
  view: (screen) => ({
    result({ whole, readBytes }) {
      for (const artifact of whole) screen.print(artifact);
      screen.note(`${whole.length} artifacts are whole; ${showBytes(readBytes)} read`);
    },
  }),
});

defineCommand({
  name: "artifact/gc",
  summary: "Remove artifacts that no name and no receipt needs.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({
    dryRun: v.optional(v.pipe(v.boolean(), v.description("only say what would go")), false),
    grace: v.optional(
      v.pipe(
        v.string(),
        v.regex(durationShape, "a time looks like 30s, 15m, 12h or 7d"),
        v.description("keep what is younger than this"),
      ),
      "1d",
    ),
  }),
  result: v.strictObject({
    isDryRun: v.boolean(),
    artifacts: v.array(v.string()),
    blobCount: v.number(),
    freedBytes: v.number(),
    keptArtifacts: v.number(),
    keptBytes: v.number(),
  }),
  examples: ["psionic artifact gc --dry-run", "psionic artifact gc --grace 12h"],
  async run({ dryRun, grace }, { services }) {
    const { collectArtifacts } = await import("./collect.ts");
    const shelf = await services.artifacts.open();
    const collected = await collectArtifacts(shelf, durationMsOf(grace)!, dryRun);
    return { isDryRun: dryRun, ...collected, artifacts: [...collected.artifacts] };
  },
  view: (screen) => ({
    result({ isDryRun, artifacts, freedBytes, keptArtifacts, keptBytes }) {
      for (const artifact of artifacts) screen.print(artifact);
      const verb = isDryRun ? "would go" : "went";
      screen.note(
        `${artifacts.length} artifacts ${verb}, ${showBytes(freedBytes)}; ${keptArtifacts} stay, ${showBytes(keptBytes)}`,
      );
    },
  }),
});

defineCommand({
  name: "artifact/remove",
  summary: "Take a name away; what it kept goes with the next gc.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({
    name: v.pipe(pointerNameSchema, v.description("the name to take away")),
  }),
  positional: ["name"],
  result: v.strictObject({ name: v.string(), artifact: v.string() }),
  examples: ["psionic artifact remove shakespeare/hf"],
  async run({ name }, { services }) {
    const shelf = await services.artifacts.open();
    const { artifact } = await shelf.pointers.remove(name);
    return { name, artifact };
  },
  view: (screen) => ({
    result({ name, artifact }) {
      screen.print(artifact);
      screen.note(`${name} no longer keeps it`);
    },
  }),
});
