import { describe, expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { holderBusy, holderFailed, type Holder } from "./holder.ts";
import { busyMaximumMs, chooseHolder, failureMaximum, RankedHolder } from "./holder-ranking.ts";

const digest = digestBytes("a chunk");

function ranked(name: string): RankedHolder {
  const nothing = async (): Promise<never> => {
    throw new Error("no test asks it");
  };
  const holder: Holder = { name, fetchManifest: nothing, fetchChunk: nothing };
  return new RankedHolder(holder);
}

/** How many requests at once it takes. */
function widthOf(holder: RankedHolder, nowMs: number): number {
  const before = holder.requests;
  while (holder.canTake(digest, nowMs)) holder.requests++;
  const width = holder.requests;
  holder.requests = before;
  return width;
}

describe("W-5 holders of a pull", () => {
  test("W-5 a busy one rests, is asked for half as much, and recovers as it gives", () => {
    const holder = ranked("busy");
    expect(widthOf(holder, 0)).toBe(8);
    // Of requests that were under way together one counts.
    for (let times = 0; times < 8; times++) holder.failed(digest, holderBusy("busy"), 0);
    expect([widthOf(holder, 0), widthOf(holder, 99), widthOf(holder, 100)]).toEqual([0, 0, 4]);
    holder.failed(digest, holderBusy("busy"), 100);
    expect([widthOf(holder, 299), widthOf(holder, 300)]).toEqual([0, 2]);
    holder.gave(1_000, 1);
    expect(widthOf(holder, 300)).toBe(3);
    expect(holder.dropped).toBeNull();
    expect(holder.report()).toMatchObject({ dropped: null, chunks: 1 });
  });

  test("W-5 one that is nothing but busy for a minute is dropped; one that fails, after three times", () => {
    const holder = ranked("busy");
    let nowMs = 0;
    while (nowMs <= busyMaximumMs) {
      holder.failed(digest, holderBusy("busy"), nowMs);
      expect(holder.dropped).toBeNull();
      nowMs += 4_000;
    }
    holder.failed(digest, holderBusy("busy"), nowMs);
    expect(holder.dropped?.code).toBe("holder_busy");
    const failing = ranked("failing");
    for (let times = 1; times <= failureMaximum; times++) {
      expect(failing.dropped).toBeNull();
      failing.failed(digest, holderFailed("failing", "it broke"), 0);
    }
    expect(failing.dropped?.code).toBe("holder_failed");
  });

  test("W-7 holders of whom nothing came yet are asked equally, so that all give from the beginning", () => {
    const holders = [ranked("one"), ranked("two"), ranked("three")];
    for (let chunk = 0; chunk < 6; chunk++) chooseHolder(holders, digest, 0)!.requests++;
    expect(holders.map(({ requests }) => requests)).toEqual([2, 2, 2]);
  });

  test("W-5 while one rests another is chosen, and nobody where all do", () => {
    const [busy, free] = [ranked("busy"), ranked("free")];
    busy.failed(digest, holderBusy("busy"), 0);
    expect(chooseHolder([busy, free], digest, 50)).toBe(free);
    free.failed(digest, holderBusy("free"), 50);
    expect(chooseHolder([busy, free], digest, 60)).toBeNull();
    expect(chooseHolder([busy, free], digest, 120)).toBe(busy);
  });
});
