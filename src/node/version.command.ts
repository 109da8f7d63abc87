import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { buildInfo } from "./build.ts";

defineCommand({
  name: "version",
  summary: "The version of the program and what it was built from.",
  access: "safe",
  flow: "tools",
  parameters: v.strictObject({}),
  result: v.object({
    version: v.string(),
    commit: v.nullable(v.string()),
    sourceDigest: v.string(),
    bun: v.string(),
    platform: v.string(),
  }),
  examples: ["psionic version", "psionic version --json"],
  async run() {
    const { version, commit, sourceDigest, bun } = await buildInfo();
    return { version, commit, sourceDigest, bun, platform: `${process.platform}-${process.arch}` };
  },
  view: (screen) => ({
    result({ version, commit, sourceDigest, bun, platform }) {
      screen.print(`psionic ${version} (${platform}, Bun ${bun})`);
      screen.print(`commit ${commit ?? "unknown"}`);
      screen.print(`build  ${sourceDigest || "from source, not built"}`);
    },
  }),
});
