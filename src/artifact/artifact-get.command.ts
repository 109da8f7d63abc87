import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { showBytes } from "./byte-size.ts";
import { artifactParameter } from "./parameter-entries.ts";

/** Progress is told so many milliseconds apart. */
const progressMs = 250;

defineCommand({
  name: "artifact/get",
  summary: "Write an artifact to a file or folder, bit for bit as it was added.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({
    artifact: artifactParameter,
    out: v.pipe(v.string(), v.nonEmpty(), v.description("path to write, where nothing is yet")),
  }),
  positional: ["artifact", "out"],
  paths: ["out"],
  result: v.strictObject({
    artifact: v.string(),
    out: v.string(),
    sizeBytes: v.number(),
    files: v.nullable(v.number()),
  }),
  examples: ["psionic artifact get shakespeare/hf model"],
  async run({ artifact: words, out }, { services, emit, signal }) {
    const { takeOut } = await import("./take-out.ts");
    const shelf = await services.artifacts.open();
    const artifact = shelf.catalog.resolve(words);
    let toldMs = services.clock.monotonicMs();
    const manifest = await takeOut(shelf, artifact, out, signal, (doneBytes, totalBytes) => {
      const nowMs = services.clock.monotonicMs();
      if (nowMs - toldMs < progressMs) return;
      toldMs = nowMs;
      emit({ type: "artifact-progress", doneBytes, totalBytes });
    });
    return { artifact, out, sizeBytes: manifest.sizeBytes, files: manifest.files?.length ?? null };
  },
  view: (screen) => ({
    event: ({ doneBytes, totalBytes }) =>
      screen.draw([`${showBytes(Number(doneBytes))} of ${showBytes(Number(totalBytes))}`]),
    result({ out, sizeBytes, files }) {
      screen.draw([]);
      screen.print(out);
      screen.note(`${showBytes(sizeBytes)}${files === null ? "" : ` in ${files} files`}`);
    },
  }),
});
