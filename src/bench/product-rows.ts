import type { Backend, Call } from "#src/kernel/contract.ts";

/** A matrix product as training meets it: forward x·Wᵀ, input gradient dy·W, weight gradient dyᵀ·x. */
export interface ProductShape {
  readonly name: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly kind: "forward" | "input" | "weight";
}

/** Square products, and those of configurations (b) and (c). */
export const productShapes: readonly ProductShape[] = [
  { name: "gemm-1024", M: 1024, N: 1024, K: 1024, kind: "forward" },
  { name: "gemm-2048", M: 2048, N: 2048, K: 2048, kind: "forward" },
  { name: "gemm-b-forward", M: 2048, N: 1536, K: 384, kind: "forward" },
  { name: "gemm-b-input", M: 2048, N: 384, K: 1536, kind: "input" },
  { name: "gemm-b-weight", M: 1536, N: 384, K: 2048, kind: "weight" },
  { name: "gemm-c-forward", M: 768, N: 512, K: 128, kind: "forward" },
  { name: "gemm-c-input", M: 768, N: 128, K: 512, kind: "input" },
  { name: "gemm-c-weight", M: 512, N: 128, K: 768, kind: "weight" },
];

/** Runs the product `run` times a second as long as the caller likes; operands are arbitrary finite numbers. */
export function prepareProduct(backend: Backend, { M, N, K, kind }: ProductShape) {
  const sizes = [M * K, N * K, M * N].map((elements) => elements * 4);
  const memories = sizes.map((bytes) => backend.allocate(bytes));
  for (const memory of memories.slice(0, 2)) {
    const bytes = memory.view(0, memory.sizeBytes);
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    for (let index = 0; index < values.length; index++) {
      values[index] = (((index * 2_654_435_761) >>> 8) & 0xffff) / 65_536 - 0.5;
    }
  }
  const transposeA = kind === "weight" ? 1 : 0;
  const transposeB = kind === "forward" ? 1 : 0;
  const place = (space: number) => ({ space, offsetBytes: 0 });
  const strides = [transposeA ? M : K, transposeB ? K : N, N];
  const call: Call = {
    operation: "matmul",
    arguments: [place(0), place(1), place(2), null, null, null],
    integers: [M, N, K, ...strides, transposeA, transposeB, 0, 0, N, N],
    floats: [],
  };
  const program = backend.prepare([call], memories);
  return {
    flops: 2 * M * N * K,
    run: () => program.run(),
    release: () => {
      program.release();
      for (const memory of memories) memory.release();
    },
  };
}
