import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";

defineCommand({
  name: "run/init",
  summary: "Write the manifest of a run: every setting with its default and why.",
  access: "owner",
  flow: "run",
  parameters: v.strictObject({
    file: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("where to write it; never over a file that is there"),
      ),
      "run.toml",
    ),
    size: v.optional(
      v.pipe(v.string(), v.description("model size whose settings it begins with")),
      "micro",
    ),
    data: v.optional(
      v.pipe(
        v.array(v.string()),
        v.maxLength(1_000),
        v.description("text it is to learn from, as the manifest's folder sees it"),
      ),
      ["book.txt"],
    ),
    schema: v.optional(
      v.pipe(v.boolean(), v.description("print the JSON Schema of the manifest and write nothing")),
      false,
    ),
  }),
  positional: ["file"],
  paths: ["file"],
  withoutSettings: true,
  result: v.strictObject({
    /** Null where nothing was written. */
    file: v.nullable(v.string()),
    schema: v.nullable(v.record(v.string(), v.unknown())),
  }),
  examples: ["psionic run init run.toml", "psionic run init --schema"],
  async run({ file, size, data, schema }, { services }) {
    const { manifestJsonSchema } = await import("./manifest-file.ts");
    if (schema) return { file: null, schema: manifestJsonSchema() };
    const { recipeOf } = await import("#src/model/sizes.ts");
    recipeOf(size);
    const { draftRunManifest } = await import("./manifest-draft.ts");
    if ((await services.disk.stat(file)) !== null)
      throw new Refusal(
        "run_manifest_exists",
        `${file} is there already`,
        "name another file, or move it away first",
        { file },
      );
    await services.disk.publish(
      file,
      draftRunManifest(size as Parameters<typeof draftRunManifest>[0], data),
    );
    return { file, schema: null };
  },
  view: (screen) => ({
    result({ file, schema }) {
      if (schema !== null) return screen.print(JSON.stringify(schema, null, 2));
      if (file === null) return;
      screen.print(file);
      screen.note(`look at it, then: psionic run start --manifest ${file}`);
    },
  }),
});
