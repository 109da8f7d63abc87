import { describe, expect, test } from "bun:test";
import { placeMaximum } from "#src/cluster/bounds.ts";
import { addressTowards, machineAddresses, placesOf } from "./places.ts";
import { RateBound } from "./rate-bound.ts";

describe("C-1 where a node says it is reached", () => {
  test("the address it was told, or all of the machine's that others may reach", () => {
    expect(placesOf("127.0.0.1", 7)).toEqual(["127.0.0.1:7"]);
    expect(placesOf("fd00::7", 7)).toEqual(["[fd00::7]:7"]);
    expect(placesOf("[fd00::7]", 7)).toEqual(["[fd00::7]:7"]);
    expect(placesOf("node.example", 7)).toEqual(["node.example:7"]);
    expect(placesOf(`${"a".repeat(200)}.example`, 7)).toEqual([]);
    for (const any of ["0.0.0.0", "::"]) {
      const places = placesOf(any, 7);
      expect(places.length).toBeGreaterThan(0);
      expect(places.length).toBeLessThanOrEqual(placeMaximum);
    }
    for (const address of machineAddresses()) {
      expect(address).not.toMatch(/^(127\.|::1$|fe80:|169\.254\.)/);
    }
  });

  test("the address of this machine that leads to another one; none leads out to itself", async () => {
    for (const host of ["127.0.0.1", "localhost", "::1", "no-such-name.invalid"])
      expect(await addressTowards({ host, port: 7420 })).toBeNull();
    const own = machineAddresses().find((address) => address.includes("."));
    if (own !== undefined) expect(await addressTowards({ host: own, port: 7420 })).toBe(own);
  });

  test("a rate has a burst and comes back with time", () => {
    const bound = new RateBound(2, 1_000);
    expect([bound.take(0), bound.take(0), bound.take(0)]).toEqual([true, true, false]);
    expect([bound.take(400), bound.take(500), bound.take(500)]).toEqual([false, true, false]);
    expect([1, 2, 3].map(() => bound.take(1e9))).toEqual([true, true, false]);
  });
});
