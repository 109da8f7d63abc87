import { afterAll, describe, expect, test } from "bun:test";
import type { Backend } from "#src/kernel/contract.ts";
import { operationNames } from "./cases.ts";
import { conformCase } from "./comparison.ts";

export interface ConformOptions {
  readonly casesPerOperation: number;
  /** The first seed; others follow it. */
  readonly firstSeed?: number;
}

const mostDifferencesShown = 3;
const timeoutMs = 120_000;

/**
 * Registers tests that compare a backend with the reference, bit for bit, on drawn calls of every
 * operation, and check that nothing outside the outputs changes. A failure names operation and
 * seed: `conformCase(backend, operation, seed)` runs that case alone.
 */
export function conform(name: string, makeBackend: () => Backend, options: ConformOptions): void {
  const { casesPerOperation, firstSeed = 0 } = options;
  describe(`T-1 ${name} gives the bits of exact/1`, () => {
    let backend: Backend | null = null;
    afterAll(() => backend?.release());
    for (const operation of operationNames) {
      test(
        operation,
        () => {
          backend ??= makeBackend();
          const differences: string[] = [];
          for (let seed = firstSeed; seed < firstSeed + casesPerOperation; seed++) {
            const difference = conformCase(backend, operation, seed);
            if (difference) differences.push(difference);
            if (differences.length === mostDifferencesShown) break;
          }
          expect(differences).toEqual([]);
        },
        timeoutMs,
      );
    }
  });
}
