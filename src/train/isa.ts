/** Kernel lanes a person may ask for; `reference` is the plain TypeScript backend, for checking. */
export const isaNames = ["avx512", "avx2", "neon", "baseline", "reference"] as const;
export type IsaName = (typeof isaNames)[number];
