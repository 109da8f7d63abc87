import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import {
  identityDigestOf,
  manifestDigestOf,
  runtimeManifestSchema,
} from "#src/receipt/runtime-manifest.ts";

defineCommand({
  name: "runtime",
  summary: "What this process really runs, with the digest of its execution identity.",
  access: "owner",
  flow: "proof",
  computes: true,
  parameters: v.strictObject({}),
  result: v.object({
    identityDigest: v.string(),
    manifestDigest: v.string(),
    manifest: runtimeManifestSchema,
  }),
  examples: ["psionic runtime --json"],
  async run(_parameters, { services }) {
    const manifest = await services.runtime.manifest();
    return {
      identityDigest: identityDigestOf(manifest),
      manifestDigest: manifestDigestOf(manifest),
      manifest,
    };
  },
  view: (screen) => ({
    result({ identityDigest, manifestDigest, manifest }) {
      screen.print(`identity  ${identityDigest}`);
      screen.print(`manifest  ${manifestDigest}`);
      screen.print(JSON.stringify(manifest, null, 2));
    },
  }),
});
