import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { showBytes } from "./byte-size.ts";
import { claimLifetimeMs } from "./holds.ts";
import { artifactParameter } from "./parameter-entries.ts";

/** Rows of a list; more is for a program, which asks for one at a time. */
const listMaximum = 10_000;

const artifactRow = v.strictObject({
  artifact: v.string(),
  names: v.array(v.string()),
  title: v.nullable(v.string()),
  mediaType: v.string(),
  sizeBytes: v.number(),
  chunks: v.number(),
  files: v.nullable(v.number()),
  origin: v.picklist(["added", "pulled", "found"]),
  sinceMs: v.number(),
  /** False once damage was found, until it is pulled again. */
  isWhole: v.boolean(),
});

const pullRow = v.strictObject({
  artifact: v.string(),
  isLive: v.boolean(),
  doneBytes: v.number(),
  sizeBytes: v.number(),
  updatedMs: v.number(),
});

defineCommand({
  name: "artifact/list",
  summary: "Artifacts of this home, their names, and pulls that have not ended.",
  access: "member",
  flow: "artifact",
  parameters: v.strictObject({}),
  result: v.strictObject({
    artifacts: v.array(artifactRow),
    pulls: v.array(pullRow),
    usedBytes: v.number(),
  }),
  examples: ["psionic artifact list"],
  async run(_parameters, { services }) {
    const shelf = await services.artifacts.open();
    const names = Map.groupBy(shelf.pointers.all(), ({ artifact }) => artifact);
    return {
      artifacts: shelf.catalog.all(listMaximum).map((row) => ({
        ...{ artifact: row.digest, names: (names.get(row.digest) ?? []).map(({ name }) => name) },
        ...{ title: row.title, mediaType: row.mediaType, sizeBytes: row.sizeBytes },
        ...{ chunks: row.chunkCount, files: row.fileCount, origin: row.origin },
        ...{ sinceMs: row.sinceMs, isWhole: row.isWhole },
      })),
      pulls: services.store.all("SELECT * FROM artifact_pull ORDER BY artifact").map((row) => ({
        artifact: String(row["artifact"]),
        isLive: row["hold"] !== null && shelf.holds.isLive(String(row["hold"]), claimLifetimeMs),
        doneBytes: Number(row["done_bytes"]),
        sizeBytes: Number(row["size_bytes"]),
        updatedMs: Number(row["updated_ms"]),
      })),
      usedBytes: shelf.blobs.index.usedBytes(),
    };
  },
  view: (screen) => ({
    result({ artifacts, pulls, usedBytes }) {
      if (artifacts.length + pulls.length === 0)
        return screen.note("no artifacts yet; `psionic artifact add` keeps a file or folder");
      screen.note(`${"DIGEST".padEnd(12)}  ${"SIZE".padStart(8)}  FILES  NAMES`);
      for (const { artifact, sizeBytes, files, names, title, isWhole } of artifacts)
        screen.print(
          [
            artifact.slice(0, 12),
            showBytes(sizeBytes).padStart(8),
            String(files ?? "–").padStart(5),
            [...names, ...(title === null ? [] : [`“${title}”`])].join(" ") || "–",
            ...(isWhole ? [] : ["damaged: pull it again"]),
          ].join("  "),
        );
      for (const { artifact, doneBytes, sizeBytes, isLive } of pulls)
        screen.print(
          `${artifact.slice(0, 12)}  ${isLive ? "being pulled" : "interrupted"}: ${showBytes(doneBytes)} of ${showBytes(sizeBytes)}`,
        );
      screen.note(`${showBytes(usedBytes)} in all`);
    },
  }),
});

defineCommand({
  name: "artifact/show",
  summary: "An artifact's manifest: sizes, files and chunks.",
  access: "member",
  flow: "artifact",
  parameters: v.strictObject({ artifact: artifactParameter }),
  positional: ["artifact"],
  result: v.strictObject({
    artifact: v.string(),
    names: v.array(v.string()),
    isWhole: v.boolean(),
    manifest: v.strictObject({
      format: v.string(),
      mediaType: v.string(),
      title: v.optional(v.string()),
      sizeBytes: v.number(),
      chunkBytes: v.number(),
      files: v.optional(v.array(v.strictObject({ path: v.string(), sizeBytes: v.number() }))),
      chunks: v.array(v.string()),
    }),
  }),
  examples: ["psionic artifact show shakespeare/hf"],
  async run({ artifact: words }, { services }) {
    const shelf = await services.artifacts.open();
    const artifact = shelf.catalog.resolve(words);
    const { manifest } = await shelf.manifest(artifact);
    const pointers = shelf.pointers.all().filter((pointer) => pointer.artifact === artifact);
    const isWhole = shelf.catalog.get(artifact)?.isWhole ?? false;
    return { artifact, names: pointers.map(({ name }) => name), isWhole, manifest };
  },
  view: (screen) => ({
    result({ artifact, names, isWhole, manifest }) {
      const { sizeBytes, chunks, chunkBytes, mediaType, title, files } = manifest;
      screen.print(`artifact ${artifact}${isWhole ? "" : "  (not whole here)"}`);
      if (title !== undefined) screen.print(`title    ${title}`);
      screen.print(`type     ${mediaType}`);
      screen.print(`size     ${sizeBytes} bytes in ${chunks.length} chunks of ${chunkBytes}`);
      for (const name of names) screen.print(`name     ${name}`);
      for (const file of files ?? []) screen.print(`file     ${file.path}  ${file.sizeBytes}`);
    },
  }),
});
