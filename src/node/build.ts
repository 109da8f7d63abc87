/** What the build says of the program: see `scripts/build/executable.ts`, which writes it. */
export interface BuildInfo {
  readonly version: string;
  /** The git commit, `+changes` when sources differed from it, or null where it is unknown. */
  readonly commit: string | null;
  /** SHA-256 over the sources it was built from. */
  readonly sourceDigest: string;
  readonly compiler: string;
  readonly bun: string;
  /** Native libraries by target. */
  readonly libraries: Readonly<
    Record<string, { readonly sha256: string; readonly compiler: string }>
  >;
}

const unbuilt: BuildInfo = {
  version: "0.1.0-source",
  commit: null,
  sourceDigest: "",
  compiler: "",
  bun: Bun.version,
  libraries: {},
};

/** The build's own record, or a stand-in when the program runs from source before any build. */
export async function buildInfo(): Promise<BuildInfo> {
  try {
    const { default: info } = await import("#build-info");
    return info;
  } catch {
    return unbuilt;
  }
}
