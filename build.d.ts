/** Modules that build.ts makes; both exist once it has run. */

/** Path of the kernel library: inside the executable, or in `.build` when run from source. */
declare module "#kernels" {
  const path: string;
  export default path;
}

declare module "#build-info" {
  const info: import("./scripts/build/executable.ts").BuildInfo;
  export default info;
}
