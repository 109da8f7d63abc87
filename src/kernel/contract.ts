/**
 * The operation contract: every operation a plan may contain, in one table that all backends,
 * the planner and the conformance suite read. What each computes, to the bit, is written in
 * docs/NUMERICS.md under the operation's name; this file says what goes in and out.
 *
 * All tensors are row-major. "stride" is the distance in elements between two rows; a row's own
 * elements are contiguous. Extents are in elements and let a backend refuse a call that would
 * reach outside its buffers.
 */
export type ElementType = "f32" | "i32";
export type Access = "in" | "out" | "inout";

export interface Argument {
  readonly name: string;
  readonly type: ElementType;
  readonly access: Access;
  /** A null pointer is allowed and means "absent". */
  readonly optional: boolean;
}

export interface Operation {
  readonly name: string;
  /** Index of the operation in every backend's table; permanent within a numeric version. */
  readonly code: number;
  readonly arguments: readonly Argument[];
  readonly integers: readonly string[];
  readonly floats: readonly string[];
  /** Elements each argument spans, in argument order, given the integers by name. */
  extents(integers: Readonly<Record<string, number>>): readonly number[];
  /** Multiply-adds counted as two, elementary functions as one. */
  flops(integers: Readonly<Record<string, number>>): number;
}

export const maximumArguments = 12;
export const maximumIntegers = 20;
export const maximumFloats = 4;

/** Terms per chain in matrix products, column sums and weighted sums. */
export const chunkLength = 512;
/** Elements per block of a row reduction. */
export const blockLength = 4096;

/** Values of `matmul`'s `activation` integer. */
export const activation = { none: 0, gelu: 1, geluBackward: 2 } as const;

/** Layout of the `hyper` vector the optimizers read; see docs/NUMERICS.md, "Optimizers". */
export const hyper = {
  stepSize: 0,
  beta1: 1,
  oneMinusBeta1: 2,
  beta2: 3,
  oneMinusBeta2: 4,
  inverseRootCorrection2: 5,
  epsilon: 6,
  decayFactor: 7,
  l2: 8,
  nesterov: 9,
  trust: 10,
  weightDecay: 11,
  inverseCorrection1: 12,
  length: 16,
} as const;

/** The random state every random operation reads: i32 words. */
export const randomState = { seedLow: 0, seedHigh: 1, step: 2, rank: 3, length: 4 } as const;

type Sizes = Readonly<Record<string, number>>;
interface Declaration {
  /** `name:type` with a prefix: `>` out, `=` inout, none in; a trailing `?` marks optional. */
  readonly arguments: string;
  readonly integers: string;
  readonly floats?: string;
  extents(s: Sizes): readonly number[];
  flops(s: Sizes): number;
}

/** Elements from the first to the last of `rows` rows of `columns` at `stride`. */
const span = (rows: number, columns: number, stride: number): number =>
  rows <= 0 || columns <= 0 ? 0 : (rows - 1) * stride + columns;

/** Elements of a grouped-row view: `rows` logical rows, `groups` of them side by side per stride. */
const groupedSpan = (rows: number, columns: number, groups: number, stride: number): number =>
  rows <= 0 ? 0 : span(Math.ceil(rows / groups), groups * columns, stride);

const at = (s: Sizes, name: string): number => {
  const value = s[name];
  if (value === undefined) throw new Error(`missing integer ${name}`);
  return value;
};

const blocks = (count: number): number => Math.ceil(count / blockLength);

const attentionExtents = (s: Sizes) => {
  const rows = at(s, "batch") * at(s, "queries");
  const keyRows = at(s, "batch") * at(s, "keys");
  const D = at(s, "headSize");
  const query = span(rows, at(s, "heads") * D, at(s, "queryStride"));
  const key = span(keyRows, at(s, "groups") * D, at(s, "keyStride"));
  const value = span(keyRows, at(s, "groups") * D, at(s, "valueStride"));
  const out = span(rows, at(s, "heads") * D, at(s, "outStride"));
  const statistics = rows * at(s, "heads") * 2;
  return { query, key, value, out, statistics };
};
const causalPairs = (s: Sizes) =>
  (at(s, "batch") * at(s, "heads") * at(s, "queries") * (at(s, "keys") + 1)) / 2;

const declarations = {
  /** out[n] = table[tokens[n]] (+ positions[n mod T + position]). */
  embedding: {
    arguments: "tokens:i32 table:f32 positions:f32? position:i32? >out:f32",
    integers: "rows columns vocabulary contextLength positionRows",
    extents: (s) => [
      at(s, "rows"),
      at(s, "vocabulary") * at(s, "columns"),
      at(s, "positionRows") * at(s, "columns"),
      1,
      at(s, "rows") * at(s, "columns"),
    ],
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
  /** tableGradient[tokens[n]] += outGradient[n], in token order. Accumulates always. */
  embedding_backward: {
    arguments: "tokens:i32 outGradient:f32 =tableGradient:f32",
    integers: "rows columns vocabulary",
    extents: (s) => [
      at(s, "rows"),
      at(s, "rows") * at(s, "columns"),
      at(s, "vocabulary") * at(s, "columns"),
    ],
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
  /** positionsGradient[t] = column chain over the batch of outGradient[b, t]. */
  position_backward: {
    arguments: "outGradient:f32 =positionsGradient:f32",
    integers: "rows columns contextLength accumulate",
    extents: (s) => [at(s, "rows") * at(s, "columns"), at(s, "contextLength") * at(s, "columns")],
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
  /**
   * out(M×N) = epilogue(op(a)(M×K) · op(b)(K×N)). transposeA: a is stored K×M; transposeB: b is stored N×K.
   * Epilogue: accumulate, bias, activation, residual in that order. `auxiliary` is M×N: written with the
   * pre-activation by `gelu` (when present), read by `geluBackward`.
   */
  matmul: {
    arguments: "a:f32 b:f32 =out:f32 bias:f32? =auxiliary:f32? residual:f32?",
    integers:
      "M N K aStride bStride outStride transposeA transposeB activation accumulate auxiliaryStride residualStride",
    extents: (s) => {
      const M = at(s, "M"),
        N = at(s, "N"),
        K = at(s, "K");
      return [
        at(s, "transposeA") ? span(K, M, at(s, "aStride")) : span(M, K, at(s, "aStride")),
        at(s, "transposeB") ? span(N, K, at(s, "bStride")) : span(K, N, at(s, "bStride")),
        span(M, N, at(s, "outStride")),
        N,
        span(M, N, at(s, "auxiliaryStride")),
        span(M, N, at(s, "residualStride")),
      ];
    },
    flops: (s) => 2 * at(s, "M") * at(s, "N") * at(s, "K"),
  },
  /** out[c] = column chain over rows of x. */
  column_sum: {
    arguments: "x:f32 =out:f32",
    integers: "rows columns xStride accumulate",
    extents: (s) => [span(at(s, "rows"), at(s, "columns"), at(s, "xStride")), at(s, "columns")],
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
  /** y = (x − mean)·rstd·gain (+ shift); mean and rstd are saved per row. */
  layernorm: {
    arguments: "x:f32 gain:f32 shift:f32? >y:f32 >mean:f32 >rstd:f32",
    integers: "rows columns",
    floats: "epsilon",
    extents: (s) => {
      const n = at(s, "rows") * at(s, "columns");
      return [n, at(s, "columns"), at(s, "columns"), n, at(s, "rows"), at(s, "rows")];
    },
    flops: (s) => 8 * at(s, "rows") * at(s, "columns"),
  },
  layernorm_backward: {
    arguments: "yGradient:f32 x:f32 gain:f32 mean:f32 rstd:f32 residual:f32? >xGradient:f32",
    integers: "rows columns",
    extents: (s) => {
      const n = at(s, "rows") * at(s, "columns"),
        r = at(s, "rows");
      return [n, n, at(s, "columns"), r, r, n, n];
    },
    flops: (s) => 12 * at(s, "rows") * at(s, "columns"),
  },
  layernorm_backward_parameters: {
    arguments: "yGradient:f32 x:f32 mean:f32 rstd:f32 =gainGradient:f32 =shiftGradient:f32?",
    integers: "rows columns accumulate",
    extents: (s) => {
      const n = at(s, "rows") * at(s, "columns"),
        r = at(s, "rows"),
        c = at(s, "columns");
      return [n, n, r, r, c, c];
    },
    flops: (s) => 5 * at(s, "rows") * at(s, "columns"),
  },
  /** Logical row r lies at (r div groups)·stride + (r mod groups)·columns. y = x·rstd·gain. */
  rmsnorm: {
    arguments: "x:f32 gain:f32 >y:f32 >rstd:f32",
    integers: "rows columns groups xStride yStride",
    floats: "epsilon",
    extents: (s) => {
      const g = (stride: string) =>
        groupedSpan(at(s, "rows"), at(s, "columns"), at(s, "groups"), at(s, stride));
      return [g("xStride"), at(s, "columns"), g("yStride"), at(s, "rows")];
    },
    flops: (s) => 4 * at(s, "rows") * at(s, "columns"),
  },
  rmsnorm_backward: {
    arguments: "yGradient:f32 x:f32 gain:f32 rstd:f32 residual:f32? >xGradient:f32",
    integers: "rows columns groups yGradientStride xStride residualStride xGradientStride",
    extents: (s) => {
      const g = (stride: string) =>
        groupedSpan(at(s, "rows"), at(s, "columns"), at(s, "groups"), at(s, stride));
      return [
        g("yGradientStride"),
        g("xStride"),
        at(s, "columns"),
        at(s, "rows"),
        g("residualStride"),
        g("xGradientStride"),
      ];
    },
    flops: (s) => 8 * at(s, "rows") * at(s, "columns"),
  },
  rmsnorm_backward_parameters: {
    arguments: "yGradient:f32 x:f32 rstd:f32 =gainGradient:f32",
    integers: "rows columns groups yGradientStride xStride accumulate",
    extents: (s) => {
      const g = (stride: string) =>
        groupedSpan(at(s, "rows"), at(s, "columns"), at(s, "groups"), at(s, stride));
      return [g("yGradientStride"), g("xStride"), at(s, "rows"), at(s, "columns")];
    },
    flops: (s) => 3 * at(s, "rows") * at(s, "columns"),
  },
  /**
   * Rotates pairs (i, i + headSize/2) of every head by the table row of the token's position.
   * Table row: headSize/2 cosines, then headSize/2 sines. Token n has position n mod contextLength (+ position).
   * `y` may be `x` itself (same pointer and stride).
   */
  rope: {
    arguments: "x:f32 table:f32 position:i32? >y:f32",
    integers: "rows heads headSize contextLength tableRows xStride yStride inverse",
    extents: (s) => {
      const width = at(s, "heads") * at(s, "headSize");
      return [
        span(at(s, "rows"), width, at(s, "xStride")),
        at(s, "tableRows") * at(s, "headSize"),
        1,
        span(at(s, "rows"), width, at(s, "yStride")),
      ];
    },
    flops: (s) => 3 * at(s, "rows") * at(s, "heads") * at(s, "headSize"),
  },
  /**
   * Causal attention with grouped heads. Query i of a batch entry sees keys 0 … i + position (position absent: 0).
   * Row of query i of entry b: b·queries + i; row of key j: b·keys + j. Head h reads key/value group h div (heads/groups).
   * statistics: (row, head) → maximum, sum.
   */
  attention: {
    arguments: "query:f32 key:f32 value:f32 position:i32? >out:f32 >statistics:f32",
    integers:
      "batch queries keys heads groups headSize queryStride keyStride valueStride outStride",
    floats: "scale",
    extents: (s) => {
      const e = attentionExtents(s);
      return [e.query, e.key, e.value, 1, e.out, e.statistics];
    },
    flops: (s) => 4 * causalPairs(s) * at(s, "headSize"),
  },
  /** Needs queries = keys. Gradients overwrite. */
  attention_backward: {
    arguments:
      "query:f32 key:f32 value:f32 out:f32 outGradient:f32 statistics:f32 >queryGradient:f32 >keyGradient:f32 >valueGradient:f32",
    integers:
      "batch queries keys heads groups headSize queryStride keyStride valueStride outStride outGradientStride queryGradientStride keyGradientStride valueGradientStride",
    floats: "scale",
    extents: (s) => {
      const e = attentionExtents(s);
      const rows = at(s, "batch") * at(s, "queries");
      const D = at(s, "headSize");
      const wide = (heads: string, stride: string) => span(rows, at(s, heads) * D, at(s, stride));
      return [
        e.query,
        e.key,
        e.value,
        e.out,
        wide("heads", "outGradientStride"),
        e.statistics,
        wide("heads", "queryGradientStride"),
        wide("groups", "keyGradientStride"),
        wide("groups", "valueGradientStride"),
      ];
    },
    flops: (s) => 10 * causalPairs(s) * at(s, "headSize"),
  },
  gelu: {
    arguments: "x:f32 >y:f32",
    integers: "count",
    extents: (s) => [at(s, "count"), at(s, "count")],
    flops: (s) => 12 * at(s, "count"),
  },
  gelu_backward: {
    arguments: "yGradient:f32 x:f32 >xGradient:f32",
    integers: "count",
    extents: (s) => [at(s, "count"), at(s, "count"), at(s, "count")],
    flops: (s) => 18 * at(s, "count"),
  },
  /** x rows hold gate then up, each `columns` wide: y = silu(gate)·up. */
  swiglu: {
    arguments: "x:f32 >y:f32",
    integers: "rows columns",
    extents: (s) => [2 * at(s, "rows") * at(s, "columns"), at(s, "rows") * at(s, "columns")],
    flops: (s) => 8 * at(s, "rows") * at(s, "columns"),
  },
  swiglu_backward: {
    arguments: "yGradient:f32 x:f32 >xGradient:f32",
    integers: "rows columns",
    extents: (s) => [
      at(s, "rows") * at(s, "columns"),
      2 * at(s, "rows") * at(s, "columns"),
      2 * at(s, "rows") * at(s, "columns"),
    ],
    flops: (s) => 14 * at(s, "rows") * at(s, "columns"),
  },
  /** Keeps an element when its random word ≥ threshold (a u32 carried in an integer); kept ones are scaled. Its own backward. */
  dropout: {
    arguments: "x:f32 state:i32 residual:f32? >y:f32",
    integers: "count purpose threshold",
    floats: "scale",
    extents: (s) => [at(s, "count"), randomState.length, at(s, "count"), at(s, "count")],
    flops: (s) => 2 * at(s, "count"),
  },
  add: {
    arguments: "x:f32 y:f32 >out:f32",
    integers: "rows columns xStride yStride outStride",
    extents: (s) =>
      ["xStride", "yStride", "outStride"].map((stride) =>
        span(at(s, "rows"), at(s, "columns"), at(s, stride)),
      ),
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
  /** Copies rows; with `position`, the first row written is row `position` of out (out has outRows rows). */
  copy: {
    arguments: "x:f32 position:i32? >out:f32",
    integers: "rows columns xStride outStride outRows",
    extents: (s) => [
      span(at(s, "rows"), at(s, "columns"), at(s, "xStride")),
      1,
      span(at(s, "outRows"), at(s, "columns"), at(s, "outStride")),
    ],
    flops: () => 0,
  },
  fill: {
    arguments: ">out:f32",
    integers: "count",
    floats: "value",
    extents: (s) => [at(s, "count")],
    flops: () => 0,
  },
  /** Softmax cross-entropy fused with the head: logits exist only in row blocks. Target −1 is ignored. */
  head_loss: {
    arguments: "x:f32 weight:f32 targets:i32 >losses:f32 >predictions:i32?",
    integers: "rows columns vocabulary",
    extents: (s) => [
      at(s, "rows") * at(s, "columns"),
      at(s, "vocabulary") * at(s, "columns"),
      at(s, "rows"),
      at(s, "rows"),
      at(s, "rows"),
    ],
    flops: (s) => 2 * at(s, "rows") * at(s, "columns") * at(s, "vocabulary"),
  },
  /** The same with its gradients; `lossScale` (one f32) multiplies every row's gradient. */
  head_loss_gradient: {
    arguments:
      "x:f32 weight:f32 targets:i32 lossScale:f32 >losses:f32 >xGradient:f32 =weightGradient:f32?",
    integers: "rows columns vocabulary accumulate",
    extents: (s) => {
      const x = at(s, "rows") * at(s, "columns"),
        w = at(s, "vocabulary") * at(s, "columns");
      return [x, w, at(s, "rows"), 1, at(s, "rows"), x, w];
    },
    flops: (s) => 6 * at(s, "rows") * at(s, "columns") * at(s, "vocabulary"),
  },
  /** out[0] = row reduction of x. `partial` receives the block sums. */
  sum: {
    arguments: "x:f32 >partial:f32 >out:f32",
    integers: "count",
    extents: (s) => [at(s, "count"), blocks(at(s, "count")), 1],
    flops: (s) => at(s, "count"),
  },
  /** out[0] = row reduction of x², inputs below 2⁻³⁹ as zero. */
  sum_squares: {
    arguments: "x:f32 >partial:f32 >out:f32",
    integers: "count",
    extents: (s) => [at(s, "count"), blocks(at(s, "count")), 1],
    flops: (s) => 2 * at(s, "count"),
  },
  /** out = {norm, scale}: norm = √sumSquares, scale = min(1, maximum / norm); maximum ≤ 0 disables clipping. */
  clip_scale: {
    arguments: "sumSquares:f32 >out:f32",
    integers: "",
    floats: "maximum",
    extents: () => [1, 2],
    flops: () => 3,
  },
  /** SGD, and momentum when `velocity` is present; `ratio` (one f32) multiplies the step (LARS). `clip` is clip_scale's out. */
  sgd: {
    arguments:
      "=parameter:f32 gradient:f32 =velocity:f32? hyper:f32 clip:f32? ratio:f32? >parameterPartial:f32 >updatePartial:f32",
    integers: "count",
    extents: (s) => {
      const n = at(s, "count");
      return [n, n, n, hyper.length, 2, 1, blocks(n), blocks(n)];
    },
    flops: (s) => 8 * at(s, "count"),
  },
  /** Adam with L2 (hyper.l2) and decoupled decay (hyper.decayFactor): AdamW when l2 is 0. Partials: block sums of squares. */
  adam: {
    arguments:
      "=parameter:f32 gradient:f32 =first:f32 =second:f32 hyper:f32 clip:f32? >parameterPartial:f32 >updatePartial:f32",
    integers: "count",
    extents: (s) => {
      const n = at(s, "count");
      return [n, n, n, n, hyper.length, 2, blocks(n), blocks(n)];
    },
    flops: (s) => 16 * at(s, "count"),
  },
  /** LAMB's direction: bias-corrected Adam step plus weightDecay·parameter, before the trust ratio. */
  lamb_direction: {
    arguments:
      "parameter:f32 gradient:f32 =first:f32 =second:f32 hyper:f32 clip:f32? >direction:f32",
    integers: "count",
    extents: (s) => {
      const n = at(s, "count");
      return [n, n, n, n, hyper.length, 2, n];
    },
    flops: (s) => 14 * at(s, "count"),
  },
  /** parameter −= stepSize·ratio·direction. */
  apply_direction: {
    arguments:
      "=parameter:f32 direction:f32 hyper:f32 ratio:f32 >parameterPartial:f32 >updatePartial:f32",
    integers: "count",
    extents: (s) => {
      const n = at(s, "count");
      return [n, n, hyper.length, 1, blocks(n), blocks(n)];
    },
    flops: (s) => 6 * at(s, "count"),
  },
  /** mode 0 (LARS): trust·‖p‖ / (‖g‖·clip + weightDecay·‖p‖ + ε); mode 1 (LAMB): ‖p‖ / ‖u‖. Either norm zero: 1. */
  trust_ratio: {
    arguments: "parameterSquares:f32 updateSquares:f32 hyper:f32 clip:f32? >out:f32",
    integers: "mode",
    extents: () => [1, 1, hyper.length, 2, 1],
    flops: () => 8,
  },
  /** Normal numbers of mean 0 and the given deviation, from the counter-based generator; step enters as 0. */
  init_normal: {
    arguments: "state:i32 >out:f32",
    integers: "count purpose",
    floats: "deviation",
    extents: (s) => [randomState.length, at(s, "count")],
    flops: (s) => 40 * at(s, "count"),
  },
  /** out[0] = how many elements are NaN or infinite. */
  count_nonfinite: {
    arguments: "x:f32 >out:i32",
    integers: "rows columns xStride",
    extents: (s) => [span(at(s, "rows"), at(s, "columns"), at(s, "xStride")), 1],
    flops: () => 0,
  },
  /** out[0] = index of the largest element of each row; the lowest index wins ties. */
  argmax: {
    arguments: "x:f32 >out:i32",
    integers: "rows columns",
    extents: (s) => [at(s, "rows") * at(s, "columns"), at(s, "rows")],
    flops: (s) => at(s, "rows") * at(s, "columns"),
  },
} as const satisfies Record<string, Declaration>;

export type OperationName = keyof typeof declarations;

function parseArgument(text: string): Argument {
  const match = /^([>=]?)(\w+):(f32|i32)(\??)$/.exec(text);
  if (!match) throw new Error(`bad argument declaration ${text}`);
  const access = match[1] === ">" ? "out" : match[1] === "=" ? "inout" : "in";
  return { name: match[2]!, type: match[3] as ElementType, access, optional: match[4] === "?" };
}

const words = (text: string | undefined): string[] => (text ? text.split(" ") : []);

/** All operations by name; `code` is the position in the declaration order. */
export const operations: Readonly<Record<OperationName, Operation>> = Object.fromEntries(
  Object.entries(declarations).map(([name, declared], code) => {
    const declaration: Declaration = declared;
    const operation: Operation = {
      name,
      code,
      arguments: words(declaration.arguments).map(parseArgument),
      integers: words(declaration.integers),
      floats: words(declaration.floats),
      extents: declaration.extents,
      flops: declaration.flops,
    };
    return [name, operation];
  }),
) as Record<OperationName, Operation>;

/** A place in one of the plan's memory spaces. */
export interface Place {
  /** Index of the memory space handed to the backend. */
  readonly space: number;
  /** Offset in bytes, a multiple of 4 (planned buffers start at multiples of 64). */
  readonly offsetBytes: number;
}

/** One step of a plan. */
export interface Call {
  readonly operation: OperationName;
  readonly arguments: readonly (Place | null)[];
  readonly integers: readonly number[];
  readonly floats: readonly number[];
}

/** Memory a backend owns; contents are reached through `view`, never by pointer. */
export interface Memory {
  readonly sizeBytes: number;
  /** A live window on the memory; at most 2 GiB per call. */
  view(offsetBytes: number, lengthBytes: number): Uint8Array;
  release(): void;
}

/** Calls bound to memory and checked against every extent; run any stretch of it. */
export interface Program {
  readonly callCount: number;
  /** Scratch the backend itself needs for these calls, in bytes. */
  readonly scratchBytes: number;
  /** Runs calls [from, to); blocks the thread. */
  run(from?: number, to?: number): void;
  release(): void;
}

/** What executes plans. Every implementation of `exact/1` gives the same bits. */
export interface Backend {
  /** For people and records: `cpu/avx2`, `reference`. */
  readonly name: string;
  readonly threadCount: number;
  /** Zero-filled, 64-byte aligned. */
  allocate(sizeBytes: number): Memory;
  prepare(calls: readonly Call[], spaces: readonly Memory[]): Program;
  release(): void;
}

/** The integers of a call by name, as extents and flops want them. */
export function integersOf(call: Call): Record<string, number> {
  const { integers } = operations[call.operation];
  return Object.fromEntries(integers.map((name, index) => [name, call.integers[index] ?? 0]));
}
