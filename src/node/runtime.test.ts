import { expect, test } from "bun:test";
import {
  identityDigestOf,
  manifestDigestOf,
  parseRuntimeManifest,
} from "#src/receipt/runtime-manifest.ts";
import { thisRuntime } from "./runtime.ts";

const machine = {
  facts: async () => ({
    operatingSystem: "Linux 6",
    architecture: "x64",
    processor: "a processor",
    coreCount: 2,
    memoryBytes: 2 ** 33,
    freeMemoryBytes: 2 ** 32,
  }),
  lanes: async () => ["avx2", "baseline"],
};

test("I-3 this process describes itself in the published shape", async () => {
  const manifest = await thisRuntime(machine, {}).manifest();
  expect(parseRuntimeManifest(structuredClone(manifest))).toEqual(manifest);
  expect(manifest.execution.backend).toMatchObject({
    lane: "avx2",
    numericSpecification: "exact/1",
  });
});

test("I-3 the environment and knobs are recorded and leave identity alone", async () => {
  const plain = await thisRuntime(machine, {}).manifest();
  const runtime = thisRuntime(machine, {
    LANG: "C",
    PSIONIC_TRAIN_THREADS: "2",
    PSIONIC_PASSPHRASE: "correct horse",
    PSIONIC_JOIN_TOKEN: "psn1_x",
    PATH: "/bin",
  });
  const other = await runtime.manifest({ knobs: { threads: 2 } });
  expect(other.mutable).toEqual({
    environmentVariables: { LANG: "C", PSIONIC_TRAIN_THREADS: "2" },
    knobs: { threads: 2 },
  });
  expect(identityDigestOf(other)).toBe(identityDigestOf(plain));
  expect(manifestDigestOf(other)).not.toBe(manifestDigestOf(plain));
});

test("I-3 another lane, binding or static setting is another identity", async () => {
  const runtime = thisRuntime(machine, {});
  const executions = [
    {},
    { lane: "baseline" },
    { artifactBindings: { data: "a".repeat(64) } },
    { staticConfiguration: { seed: 1 } },
  ];
  const manifests = await Promise.all(executions.map((each) => runtime.manifest(each)));
  expect(new Set(manifests.map(identityDigestOf)).size).toBe(executions.length);
});
