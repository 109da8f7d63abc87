import type { Random } from "#src/port/random.ts";

/** Unpredictable bytes from the operating system. */
export const machineRandom: Random = {
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};
