import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { showBytes } from "./byte-size.ts";
import { mediaTypeSchema, titleSchema } from "./manifest.ts";
import {
  ensureIdentity,
  nameParameter,
  quotaBytesOf,
  quotaParameter,
} from "./parameter-entries.ts";

/** Progress is told so many milliseconds apart. */
const progressMs = 250;

defineCommand({
  name: "artifact/add",
  summary: "Keep a file or folder under the digest of what it holds.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({
    path: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.description("the file, or the folder with all its files"),
    ),
    name: nameParameter,
    title: v.optional(
      v.pipe(titleSchema, v.description("a title that travels with it; part of what is digested")),
    ),
    mediaType: v.optional(
      v.pipe(mediaTypeSchema, v.description("its media type; without it, bytes or a folder")),
    ),
    quota: quotaParameter,
  }),
  positional: ["path"],
  paths: ["path"],
  result: v.strictObject({
    artifact: v.string(),
    name: v.nullable(v.string()),
    sizeBytes: v.number(),
    newBytes: v.number(),
    files: v.nullable(v.number()),
    chunks: v.number(),
  }),
  examples: ["psionic artifact add model --name shakespeare/hf"],
  async run({ path, name, title, mediaType, quota }, { services, emit, signal }) {
    const { addArtifact } = await import("./add.ts");
    await ensureIdentity(services);
    const shelf = await services.artifacts.open();
    let toldMs = services.clock.monotonicMs();
    const { digest, manifest, newBytes } = await addArtifact(shelf, {
      ...{ location: path, name: name ?? null, title, mediaType, signal },
      quotaBytes: quotaBytesOf(quota),
      onProgress(doneBytes, totalBytes) {
        const nowMs = services.clock.monotonicMs();
        if (nowMs - toldMs < progressMs) return;
        toldMs = nowMs;
        emit({ type: "artifact-progress", doneBytes, totalBytes });
      },
    });
    return {
      ...{ artifact: digest, name: name ?? null, sizeBytes: manifest.sizeBytes, newBytes },
      ...{ files: manifest.files?.length ?? null, chunks: manifest.chunks.length },
    };
  },
  view: (screen) => ({
    event: ({ doneBytes, totalBytes }) =>
      screen.draw([`${showBytes(Number(doneBytes))} of ${showBytes(Number(totalBytes))}`]),
    result({ artifact, name, sizeBytes, newBytes, files }) {
      screen.draw([]);
      screen.print(artifact);
      const what = files === null ? "" : ` in ${files} files`;
      screen.note(`${showBytes(sizeBytes)}${what}, ${showBytes(newBytes)} of it new`);
      if (name === null) screen.note("without --name, `psionic artifact gc` takes it after a day");
    },
  }),
});
