/** The machines an executable can be built for, and how each is spoken of by the tools involved. */
export type Target = "linux-x64" | "linux-arm64" | "darwin-x64" | "darwin-arm64";

interface TargetFacts {
  /** Bun's own name, for `bun build --target`. */
  readonly bunTarget: string;
  /** The platform in the name of Bun's npm package. */
  readonly bunPackagePlatform: string;
  /** A cross compiler by its usual name and how Debian calls its package. */
  readonly crossCompiler?: { readonly command: string; readonly install: string };
  /** One object file per lane: the macro `kernels/lane.c` expects and its instruction sets. */
  readonly lanes: Readonly<Record<string, readonly string[]>>;
}

const x64Lanes = {
  // Its fused multiply-add is a function, which higher levels inline everywhere: twice the time to
  // compile on a first start, and no faster for it.
  baseline: ["-DPSI_LANE_BASELINE", "-O1"],
  avx2: ["-DPSI_LANE_AVX2", "-mavx2", "-mfma"],
  avx512: [
    "-DPSI_LANE_AVX512",
    ...["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"],
    "-mprefer-vector-width=512",
  ],
};

const arm64Lanes = { neon: ["-DPSI_LANE_NEON"] };

export const targets: Readonly<Record<Target, TargetFacts>> = {
  "linux-x64": {
    bunTarget: "bun-linux-x64",
    bunPackagePlatform: "linux-x64",
    crossCompiler: { command: "x86_64-linux-gnu-gcc", install: "gcc-x86-64-linux-gnu" },
    lanes: x64Lanes,
  },
  "linux-arm64": {
    bunTarget: "bun-linux-arm64",
    bunPackagePlatform: "linux-aarch64",
    crossCompiler: { command: "aarch64-linux-gnu-gcc", install: "gcc-aarch64-linux-gnu" },
    lanes: arm64Lanes,
  },
  "darwin-x64": {
    bunTarget: "bun-darwin-x64",
    bunPackagePlatform: "darwin-x64",
    lanes: x64Lanes,
  },
  "darwin-arm64": {
    bunTarget: "bun-darwin-arm64",
    bunPackagePlatform: "darwin-aarch64",
    lanes: arm64Lanes,
  },
};

export function isTarget(name: string): name is Target {
  return Object.hasOwn(targets, name);
}

/** The target this process runs on; a failed build where psionic has none. */
export function hostTarget(): Target {
  const name = `${process.platform}-${process.arch}`;
  if (!isTarget(name)) throw new BuildFailure(`psionic does not build for ${name} yet`);
  return name;
}

/**
 * A build that cannot go on. `message` is one line that says what to do; `output` is what the
 * failing tool said. The exit status is 15 where something is missing here (a compiler, the
 * network) and 1 where the sources themselves do not build.
 */
export class BuildFailure extends Error {
  constructor(
    message: string,
    readonly output = "",
    readonly exitStatus: 1 | 15 = 15,
  ) {
    super(message);
  }
}
