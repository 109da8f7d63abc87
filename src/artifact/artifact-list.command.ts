import * as v from "valibot";
import type { Screen, Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { showBytes } from "./byte-size.ts";
import { claimLifetimeMs } from "./holds.ts";
import { artifactParameter } from "./parameter-entries.ts";
import type { Shelf } from "./shelf.ts";

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

/** An artifact that members of the mesh say they hold. */
const meshRow = v.strictObject({
  artifact: v.string(),
  /** Node ids; this node's own is among them where the mesh knows that it holds it. */
  holders: v.array(v.string()),
  isHere: v.boolean(),
  /** This home's names for it. */
  names: v.array(v.string()),
});

defineCommand({
  name: "artifact/list",
  summary: "Artifacts of this home or of the mesh, their names, and pulls that have not ended.",
  access: "member",
  flow: "artifact",
  parameters: v.strictObject({
    mesh: v.optional(
      v.pipe(
        v.boolean(),
        v.description("what the members of the mesh hold, as they say, and who they are"),
      ),
      false,
    ),
  }),
  result: v.strictObject({
    artifacts: v.array(artifactRow),
    pulls: v.array(pullRow),
    usedBytes: v.number(),
    /** Null where it was not asked for. */
    mesh: v.nullable(v.array(meshRow)),
  }),
  examples: ["psionic artifact list", "psionic artifact list --mesh"],
  async run({ mesh }, { services, signal }) {
    const shelf = await services.artifacts.open();
    const pointers = Map.groupBy(shelf.pointers.all(), ({ artifact }) => artifact);
    const namesOf = (artifact: string) => (pointers.get(artifact) ?? []).map(({ name }) => name);
    return {
      mesh: mesh ? await meshRows(services, shelf, namesOf, signal) : null,
      artifacts: shelf.catalog.all(listMaximum).map((row) => ({
        ...{ artifact: row.digest, names: namesOf(row.digest) },
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
    result({ artifacts, pulls, usedBytes, mesh }) {
      if (mesh !== null) return showMesh(screen, mesh);
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
    /** Members of the mesh that say they hold it; null where no daemon knows of a mesh. */
    holders: v.nullable(v.array(v.string())),
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
  async run({ artifact: words }, { services, signal }) {
    const shelf = await services.artifacts.open();
    const artifact = shelf.catalog.resolve(words);
    const holders = await holdersOf(services, artifact, signal);
    const { manifest } = await shelf.manifest(artifact);
    const pointers = shelf.pointers.all().filter((pointer) => pointer.artifact === artifact);
    const isWhole = shelf.catalog.get(artifact)?.isWhole ?? false;
    const names = pointers.map(({ name }) => name);
    return { artifact, names, isWhole, holders, manifest };
  },
  view: (screen) => ({
    result({ artifact, names, isWhole, holders, manifest }) {
      const { sizeBytes, chunks, chunkBytes, mediaType, title, files } = manifest;
      screen.print(`artifact ${artifact}${isWhole ? "" : "  (not whole here)"}`);
      if (title !== undefined) screen.print(`title    ${title}`);
      screen.print(`type     ${mediaType}`);
      screen.print(`size     ${sizeBytes} bytes in ${chunks.length} chunks of ${chunkBytes}`);
      for (const name of names) screen.print(`name     ${name}`);
      for (const holder of holders ?? []) screen.print(`holder   ${holder}`);
      for (const file of files ?? []) screen.print(`file     ${file.path}  ${file.sizeBytes}`);
    },
  }),
});

/** Refused with `daemon_absent` where nobody knows of a mesh. */
async function meshRows(
  services: Services,
  shelf: Shelf,
  namesOf: (artifact: string) => string[],
  signal: AbortSignal,
): Promise<v.InferOutput<typeof meshRow>[]> {
  const known = await services.artifacts.residency(null, signal);
  if (known === null)
    throw new Refusal(
      "daemon_absent",
      "a node knows what its mesh holds while its daemon runs, and none has this home",
      "`psionic up --detach` starts one",
      { home: services.home.root },
    );
  return known.artifacts.map(({ artifact, holders }) => ({
    ...{ artifact, holders: [...holders], names: namesOf(artifact) },
    isHere: shelf.catalog.get(artifact)?.isWhole ?? false,
  }));
}

/** What the mesh says is an extra: a daemon that cannot tell keeps nobody from looking at an artifact. */
async function holdersOf(
  { artifacts }: Services,
  artifact: string,
  signal: AbortSignal,
): Promise<string[] | null> {
  try {
    const known = await artifacts.residency(artifact, signal);
    return known === null ? null : known.artifacts.flatMap(({ holders }) => [...holders]);
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/** Characters of a node id, as lists show it. */
const shortLength = 9;

function showMesh(screen: Screen, rows: readonly v.InferOutput<typeof meshRow>[]): void {
  if (rows.length === 0) return screen.note("no member holds an artifact");
  screen.note(`${"DIGEST".padEnd(12)}  HERE  HOLDERS`);
  for (const { artifact, isHere, holders, names } of rows)
    screen.print(
      [
        artifact.slice(0, 12),
        (isHere ? "yes" : "–").padEnd(4),
        holders.map((node) => node.slice(0, shortLength)).join(" "),
        ...names,
      ].join("  "),
    );
}
