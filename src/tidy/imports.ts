/**
 * Which room may import which: the one table of docs/ARCHITECTURE.md's map, enforced by the tidy
 * test. Imports point one way. A change of this table is a change of the design and comes in its
 * own commit with a record in docs/decisions.
 *
 * Tests may import any room: they stand at the edge, like `node`.
 */
export const roomImports = {
  refusal: [],
  port: [],
  codec: ["refusal", "port"],
  receipt: ["refusal", "port", "codec"],
  log: ["refusal", "port", "codec", "receipt"],
  command: ["refusal", "port", "codec", "receipt"],
  kernel: ["refusal", "port", "codec", "command"],
  graph: ["refusal", "port", "codec", "command", "kernel"],
  model: ["refusal", "port", "codec", "command", "kernel", "graph"],
  dataset: ["refusal", "port", "codec", "command"],
  train: ["refusal", "port", "codec", "receipt", "command", "kernel", "graph", "model", "dataset"],
  validate: [
    ...["refusal", "port", "codec", "receipt", "command", "kernel", "graph", "model", "dataset"],
    "train",
  ],
  grant: ["refusal", "port", "codec", "receipt", "command"],
  policy: ["refusal", "port", "codec", "receipt", "command"],
  peer: ["refusal", "port", "codec", "receipt", "command", "grant"],
  window: ["refusal", "port", "codec", "receipt", "command"],
  cluster: ["refusal", "port", "codec", "receipt", "command", "grant", "log", "peer", "window"],
  sim: ["refusal", "port", "codec", "receipt", "command", "log", "cluster", "window"],
  artifact: ["refusal", "port", "codec", "receipt", "command"],
  evidence: [
    ...["refusal", "port", "codec", "receipt", "command", "kernel", "graph", "model", "dataset"],
    ...["train", "validate", "window", "artifact"],
  ],
  bench: ["refusal", "port", "command", "kernel", "model", "train"],
  demo: ["refusal", "port", "command", "train"],
  surface: ["refusal", "port", "codec", "receipt", "command", "peer", "artifact"],
  // The page: compiled for a browser, speaks only HTTP.
  web: [],
  node: [
    ...["refusal", "port", "codec", "receipt", "command", "kernel", "graph", "model", "dataset"],
    ...[
      "train",
      "validate",
      "bench",
      "demo",
      "grant",
      "policy",
      "peer",
      "artifact",
      "surface",
      "web",
    ],
    ...["log", "window", "cluster", "sim", "evidence"],
  ],
  // Rooms of tests alone: the compiled executable seen from outside, and this one.
  acceptance: ["refusal"],
  tidy: [],
} as const satisfies Record<string, readonly string[]>;

export type Room = keyof typeof roomImports;

/** Only these compose, or touch the terminal, HTTP, disk and time. */
export const edgeRooms: readonly Room[] = ["node", "surface", "web", "acceptance", "tidy"];

/** Modules behind which the outside world lies. Everywhere but at the edge a port stands for them. */
export const outsideModules: readonly string[] = [
  ...["bun", "bun:ffi", "bun:sqlite", "bun:jsc", "fs", "fs/promises", "os", "process", "tty"],
  ...["child_process", "worker_threads", "cluster", "readline", "readline/promises", "timers"],
  ...["timers/promises", "perf_hooks", "net", "tls", "http", "https", "http2", "dgram", "dns"],
];

/** Globals behind which the outside world lies: time, chance, disk, network, the process. */
export const outsideGlobals: readonly string[] = [
  ...["Date.now", "performance", "Math.random", "process", "console", "fetch", "WebSocket"],
  ...["setTimeout", "setInterval", "setImmediate", "crypto.getRandomValues", "crypto.randomUUID"],
  ...["Bun.file", "Bun.write", "Bun.mmap", "Bun.stdin", "Bun.stdout", "Bun.stderr", "Bun.env"],
  ...["Bun.serve", "Bun.connect", "Bun.listen", "Bun.udpSocket", "Bun.spawn", "Bun.spawnSync"],
  ...["Bun.sleep", "Bun.sleepSync", "Bun.nanoseconds", "Bun.randomUUIDv7", "Bun.argv", "Bun.main"],
];

/** One room's own door to the outside, which the reason justifies. */
export const roomExceptions: Partial<Record<Room, { names: readonly string[]; reason: string }>> = {
  kernel: {
    names: ["bun:ffi", "fs", "Bun.file", "Bun.write"],
    reason: "loads the native library embedded in the executable",
  },
};

/** Modules that even at the edge belong to one room. */
export const reservedModules: Readonly<Record<string, readonly Room[]>> = {
  "bun:ffi": ["kernel"],
  "bun:sqlite": ["node"],
};

/**
 * ECMAScript leaves these to the engine, so their last bits may differ between machines. Rooms
 * whose results feed a digest use the program's own functions instead.
 */
export const inexactGlobals: readonly string[] = [
  ...["exp", "expm1", "log", "log1p", "log2", "log10", "pow", "cbrt", "hypot"],
  ...["sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh"],
].map((name) => `Math.${name}`);

export const exactRooms: readonly Room[] = ["kernel", "graph", "model", "dataset", "train"];

/** Files of an exact room that use an inexact function where no digest can see it, and why. */
export const inexactFiles: Readonly<Record<string, string>> = {
  "src/kernel/reference/arithmetic.ts": "binary64 exists to check gradients; no digest sees it",
};

/** Above this a file gets a warning. */
export const longLineCount = 400;

/** Above this a file is refused unless listed below. */
export const refusedLineCount = 700;

/** Files that are long for a reason. */
export const longFiles: Readonly<Record<string, string>> = {};
