import { join, resolve } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runParameter } from "#src/train/parameter-entries.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";

/** Progress is told so many milliseconds apart. */
const progressMs = 250;

defineCommand({
  name: "run/evidence",
  summary: "Write all that proves a run of the mesh into one file, which anybody verifies offline.",
  access: "owner",
  flow: "proof",
  place: "daemon",
  parameters: v.strictObject({
    run: runParameter,
    out: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("a new file; without it, below the home's evidence/"),
      ),
    ),
    slim: v.optional(
      v.pipe(v.boolean(), v.description("leave the last revision's files out, as they follow")),
      false,
    ),
  }),
  positional: ["run", "out"],
  paths: ["out"],
  result: v.strictObject({
    ...{ run: v.string(), name: v.string(), file: v.string(), sizeBytes: v.number() },
    ...{ parts: v.number(), records: v.number(), contributions: v.number() },
    /** Contributions that did not count and could not be had any more. */
    missing: v.number(),
    /** Hashes over the file's parts and over the run's events. */
    ...{ chain: v.string(), runChain: v.string() },
    /** Digest of this node's receipt of the export. */
    receipt: v.string(),
  }),
  examples: ["psionic run evidence latest", "psionic run evidence book book.evidence"],
  async run({ run: wanted, out, slim }, { services, signal, emit }) {
    const { findRun } = await import("../windows-commands/find-run.ts");
    const { notOfMesh } = await import("../windows-commands/not-of-mesh.ts");
    const { meshRunsOf } = await import("../windows/mesh-runs-of.ts");
    const { writeEvidence } = await import("#src/evidence/export.ts");
    const { evidenceSource } = await import("./evidence-source.ts");
    const meshRuns = meshRunsOf(services);
    const found = findRun(wanted ?? "latest", services);
    if (found.mesh === null && meshRuns.records(found.run, 0, 1).length === 0)
      throw notOfMesh(found.name);
    const file = await placeOf(services, out, found);
    const source = await evidenceSource(services, meshRuns, found.run, signal);
    const { nodeId, key, rotations } = await services.identity.open();
    let toldMs = services.clock.monotonicMs();
    const written = await writeEvidence(
      services.disk,
      file,
      source,
      { nodeId, key, rotations },
      {
        ...{ signal, hasRevision: !slim },
        onProgress(done, of) {
          const nowMs = services.clock.monotonicMs();
          if (nowMs - toldMs < progressMs) return;
          toldMs = nowMs;
          emit({ type: "evidence-progress", done, of });
        },
      },
    );
    const { sizeBytes, parts, records, chain, runChain } = written;
    const body = { chain, runChain, sizeBytes, parts, records };
    const receipts = await services.receipts.open();
    const receipt = receipts.append("run.exported", found.run, body).digest;
    return { run: found.run, name: found.name, file, ...written, receipt };
  },
  view: (screen) => ({
    event: ({ done, of }) => screen.draw([`${String(done)} of ${String(of)} artifacts`]),
    result({ file, records, contributions, missing, sizeBytes }) {
      screen.draw([]);
      screen.print(file);
      screen.note(`${records} events and ${contributions} contributions in ${sizeBytes} bytes`);
      if (missing > 0)
        screen.note(`${missing} contributions that did not count could not be had any more`);
      screen.note(`verify it anywhere: psionic verify ${file} --replay 3`);
    },
  }),
});

/** Where the bundle goes: where the caller says and nothing is yet, else a place of the home. */
async function placeOf(
  { disk, home }: Services,
  out: string | undefined,
  { run, name }: { readonly run: string; readonly name: string },
): Promise<string> {
  if (out === undefined) {
    const folder = join(home.root, "evidence");
    await disk.makeDirectory(folder, 0o700);
    return join(folder, `${name}-${run}.evidence`);
  }
  const path = resolve(out);
  if ((await disk.stat(path)) === null) return path;
  throw new Refusal("usage", `${path} exists already`, "name a new file", { path });
}
