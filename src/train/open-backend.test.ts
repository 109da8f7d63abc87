import { expect, test } from "bun:test";
import { openHoldingBackend } from "./open-backend.ts";

const holding = async (...sizes: number[]) => {
  const spaces = sizes.map((sizeBytes) => ({ name: "parameters", sizeBytes }) as const);
  const backend = await openHoldingBackend({ spaces });
  try {
    return backend.name;
  } finally {
    backend.release();
  }
};

test("T-3 a state is held by the plain backend, and by native memory where an array would be too small", async () => {
  expect(await holding(1_000, 2 ** 31)).toBe("reference");
  // GPT-2 XL has 6.2 GB of parameters.
  expect(await holding(1_000, 6.2e9)).toStartWith("cpu/");
});
