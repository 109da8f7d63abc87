import type { Execution, Machine, Runtime } from "#src/command/services.ts";
import type { RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import { buildInfo } from "./build.ts";

const numericSpecification = "exact/1";
/** A node alone proves its results by recomputation and says nothing of its hardware. */
const claimsProfile = "recomputable";

/** Variables that steer a process and hold no secret; PSIONIC_ ones are chosen by name below. */
const recordedVariables = ["LANG", "LC_ALL", "TZ", "TMPDIR", "NO_COLOR", "CUDA_VISIBLE_DEVICES"];
const secretName = /PASSPHRASE|TOKEN|SECRET|KEY/;

/** The runtime manifest of this process. */
export function thisRuntime(
  machine: Machine,
  environment: Readonly<Record<string, string | undefined>>,
): Runtime {
  return {
    async manifest(execution: Execution = {}): Promise<RuntimeManifest> {
      const [build, facts] = await Promise.all([buildInfo(), machine.facts()]);
      const target = `${process.platform}-${process.arch}`;
      const library = build.libraries[target];
      return {
        type: "runtime-manifest",
        version: 1,
        execution: {
          binary: { version: build.version, buildDigest: build.sourceDigest },
          backend: {
            name: "cpu",
            lane: execution.lane ?? (await machine.lanes())[0]!,
            compiler: library?.compiler ?? "",
            kernelLibraries: library ? { [target]: library.sha256 } : {},
            numericSpecification,
          },
          device: {
            processor: facts.processor,
            architecture: facts.architecture,
            coreCount: facts.coreCount,
            memoryBytes: facts.memoryBytes,
          },
          environmentReferences: {},
          artifactBindings: { ...execution.artifactBindings },
          staticConfiguration: { ...execution.staticConfiguration },
          claimsProfile,
        },
        mutable: {
          environmentVariables: recordedEnvironment(environment),
          knobs: { ...execution.knobs },
        },
      };
    },
  };
}

function recordedEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const recorded = Object.entries(environment).filter(
    ([name, value]) =>
      value !== undefined &&
      (recordedVariables.includes(name) || (name.startsWith("PSIONIC_") && !secretName.test(name))),
  );
  return Object.fromEntries(recorded as [string, string][]);
}
