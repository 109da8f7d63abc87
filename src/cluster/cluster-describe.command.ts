import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { clusterOf, requireOwner } from "./command-parts.ts";
import { roles } from "./event.ts";
import { driftLines } from "./mesh-drift.ts";
import type { Manifest, MeshState } from "./state.ts";
import { driftResult } from "./status-result.ts";
import { driftText } from "./views/status.ts";
import { countText } from "./views/words.ts";

const describeResult = v.strictObject({
  /** `set`: the mesh took it; `checked`: only compared; `shown`: the one it has; `draft`: text to begin from. */
  done: v.picklist(["set", "checked", "shown", "draft"]),
  /** Null while nobody described the mesh. */
  manifest: v.nullable(
    v.strictObject({
      digest: v.string(),
      nodes: v.array(
        v.strictObject({ node: v.string(), key: v.string(), roles: v.array(v.picklist(roles)) }),
      ),
      policies: v.array(v.string()),
    }),
  ),
  /** Whether that is the one the mesh goes by. */
  isInForce: v.boolean(),
  drift: driftResult,
  text: v.nullable(v.string()),
});
type DescribeResult = v.InferOutput<typeof describeResult>;

defineCommand({
  name: "cluster/describe",
  summary: "Who belongs to the mesh, by a file, and what differs.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    file: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("TOML with nodes, their keys and roles; whoever it does not name is refused"),
      ),
    ),
    check: v.optional(
      v.pipe(v.boolean(), v.description("compare the mesh with the file and change nothing")),
      false,
    ),
    draft: v.optional(
      v.pipe(v.boolean(), v.description("print a file of the members there are, to begin from")),
      false,
    ),
  }),
  positional: ["file"],
  paths: ["file"],
  result: describeResult,
  examples: [
    "psionic cluster describe",
    "psionic cluster describe --draft",
    "psionic cluster describe mesh.toml --check",
    "psionic cluster describe mesh.toml",
  ],
  async run({ file, check, draft }, { services, signal }): Promise<DescribeResult> {
    const cluster = clusterOf(services);
    const { draftManifest, readManifestFile } = await import("./manifest-file.ts");
    if (draft) return { ...shown(cluster.state(), "draft"), text: draftManifest(cluster.state()) };
    if (file === undefined && check)
      throw new Refusal("usage", "--check compares with a file", "name it: --check mesh.toml");
    if (file === undefined) return shown(cluster.state(), "shown");
    const manifest = await readManifestFile(file, services.disk);
    if (check) return shown(cluster.state(), "checked", manifest);
    requireOwner(cluster);
    const { nodes, policies } = manifest;
    const described = {
      nodes: nodes.map((each) => ({ ...each, roles: [...each.roles] })),
      policies: [...policies],
    };
    await cluster.submit("owner", { kind: "manifest-set", manifest: described }, signal);
    return shown({ ...cluster.state(), manifest }, "set");
  },
  view: (screen) => ({
    result({ done, manifest, isInForce, drift, text }) {
      if (text !== null) {
        screen.print(text.trimEnd());
        return screen.note("put it into a file, look at it, then: psionic cluster describe FILE");
      }
      if (manifest === null)
        return screen.note("nobody described this mesh: whoever has a token may join");
      screen.print(`${manifest.digest}  ${countText(manifest.nodes.length, "node")}`);
      for (const { node, roles: allowed } of manifest.nodes)
        screen.print(`${node}  ${allowed.join(" ")}`);
      for (const line of drift) screen.print(`drift: ${driftText(line)}`);
      if (drift.length === 0) screen.note("the mesh is as described");
      if (done === "set") screen.note("in force: newcomers it does not name are refused");
      if (!isInForce) screen.note("not in force: the mesh goes by another description, or none");
    },
  }),
});

/** A description beside the mesh: the one given, else the one it goes by. */
function shown(
  state: MeshState,
  done: DescribeResult["done"],
  given: Manifest | null = state.manifest,
): DescribeResult {
  const drift = given === null ? [] : driftLines(state, given);
  return {
    done,
    manifest:
      given === null
        ? null
        : {
            digest: given.digest,
            nodes: given.nodes.map((each) => ({ ...each, roles: [...each.roles] })),
            policies: [...given.policies],
          },
    isInForce: given !== null && given.digest === state.manifest?.digest,
    drift: drift.map((line) => ({ ...line, roles: [...line.roles] })),
    text: null,
  };
}
