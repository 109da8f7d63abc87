import { resolve } from "node:path";
import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { clusterOf } from "./command-parts.ts";
import { isLive } from "./state.ts";
import { countText } from "./views/words.ts";

defineCommand({
  name: "cluster/snapshot",
  summary: "The mesh's state as one signed document, for the record.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    to: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("write it to this new file; else it is printed"),
      ),
    ),
  }),
  paths: ["to"],
  result: v.strictObject({
    mesh: v.string(),
    index: v.number(),
    term: v.number(),
    digest: v.string(),
    logDigest: v.string(),
    memberCount: v.number(),
    sizeBytes: v.number(),
    file: v.nullable(v.string()),
    /** The document, where it was not written to a file. */
    document: v.nullable(v.string()),
  }),
  examples: ["psionic cluster snapshot --to mesh.json"],
  async run({ to }, { services }) {
    const cluster = clusterOf(services);
    const file = to === undefined ? null : resolve(to);
    if (file !== null && (await services.disk.stat(file)) !== null)
      throw new Refusal("usage", `${file} exists already`, "name a new file", { file });
    const { sealSnapshot, openSnapshot } = await import("./mesh-snapshot.ts");
    const { author } = await services.receipts.open();
    // Both at one moment: nothing is waited for between them.
    const { appliedIndex: index, term, digest: logDigest } = cluster.standing();
    const state = cluster.state();
    const madeMs = services.clock.wallMs();
    const text = sealSnapshot(state, { index, term, logDigest, madeMs }, author);
    const { snapshot } = openSnapshot(text);
    if (file !== null) await services.disk.publish(file, text);
    return {
      ...{ mesh: state.mesh, index, term, digest: snapshot.digest, logDigest },
      ...{ memberCount: state.members.filter(isLive).length, sizeBytes: Buffer.byteLength(text) },
      ...{ file, document: file === null ? text.trimEnd() : null },
    };
  },
  view: (screen) => ({
    result({ file, document, index, memberCount, sizeBytes }) {
      screen.print(file ?? document!);
      screen.note(`index ${index}, ${countText(memberCount, "member")}, ${sizeBytes} bytes`);
      screen.note("anyone checks it: psionic cluster verify --snapshot FILE");
    },
  }),
});
