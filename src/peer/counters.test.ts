import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { blockCount, ReceiveWindows, SendCounters, windowCount } from "./counters.ts";
import { openTables, refusalOf } from "./peer.fixture.ts";

const small = { windowCount: 8, blockCount: 4, senderMaximum: 3 };

/** Null where the message was admitted, else the refusal's code. */
function codeOf(
  windows: ReceiveWindows,
  counter: number,
  { epoch = 1, sender = "a", floorEpoch = 0 } = {},
): string | null {
  try {
    windows.admit(sender, { epoch, counter }, floorEpoch);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("C-2 the window of one sender", () => {
  test("C-2 counters may overtake each other, and each comes once", () => {
    const windows = new ReceiveWindows(openTables());
    const order = [3, 1, 2, 1030, 1029, 4, 7, 6];
    // 4 to 6 are more than the window behind 1030.
    const codes = order.map((counter) => codeOf(windows, counter));
    expect(codes).toEqual([
      null,
      null,
      null,
      null,
      null,
      "envelope_replayed",
      null,
      "envelope_replayed",
    ]);
    for (const counter of order) expect(codeOf(windows, counter)).toBe("envelope_replayed");
  });

  test("C-2 the window holds exactly so many counters behind the highest", () => {
    const windows = new ReceiveWindows(openTables());
    const highest = 5000;
    expect(codeOf(windows, highest)).toBeNull();
    expect(codeOf(windows, highest - windowCount)).toBe("envelope_replayed");
    expect(codeOf(windows, highest - windowCount + 1)).toBeNull();
  });

  test("C-2 against a set of all that came, in 20,000 draws", () => {
    const windows = new ReceiveWindows(openTables(), { ...small, windowCount: 33 });
    const came = new Set<number>();
    let highest = 0;
    let state = 7;
    const draw = (below: number) =>
      (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % below;
    for (let round = 0; round < 20_000; round++) {
      const counter = Math.max(1, highest - 50 + draw(draw(20) === 0 ? 200 : 53));
      const isNew = counter > highest - 33 && !came.has(counter);
      expect([counter, codeOf(windows, counter)]).toEqual([
        counter,
        isNew ? null : "envelope_replayed",
      ]);
      if (isNew) highest = Math.max(highest, counter);
      came.add(counter);
    }
  });

  test("C-2 senders do not share counters", () => {
    const windows = new ReceiveWindows(openTables());
    expect(["a", "b"].map((sender) => codeOf(windows, 1, { sender }))).toEqual([null, null]);
  });

  test("C-2 the highest exact counter is admitted once", () => {
    const windows = new ReceiveWindows(openTables());
    expect(codeOf(windows, Number.MAX_SAFE_INTEGER)).toBeNull();
    expect(codeOf(windows, Number.MAX_SAFE_INTEGER)).toBe("envelope_replayed");
  });
});

describe("I-2 epochs", () => {
  test("I-2 a later epoch begins anew, and ends the earlier one for good", () => {
    const store = openTables();
    const windows = new ReceiveWindows(store);
    expect(codeOf(windows, 9)).toBeNull();
    expect(codeOf(windows, 1, { epoch: 2 })).toBeNull();
    expect(codeOf(windows, 10)).toBe("epoch_stale");
    expect(codeOf(new ReceiveWindows(store), 10)).toBe("epoch_stale");
    expect(windows.epoch("a")).toBe(2);
  });

  test("I-2 the mesh's word of an epoch counts as heard", () => {
    const windows = new ReceiveWindows(openTables());
    expect(codeOf(windows, 1, { epoch: 4, floorEpoch: 5 })).toBe("epoch_stale");
    expect(codeOf(windows, 1, { epoch: 5, floorEpoch: 5 })).toBeNull();
  });
});

describe("C-2 restarts", () => {
  test("C-2 everything up to the ceiling counts as seen, and one write serves a block", () => {
    const store = openTables();
    let writeCount = 0;
    const run: typeof store.run = (...parts) => {
      writeCount++;
      return store.run(...parts);
    };
    const counting = { ...store, run };
    const windows = new ReceiveWindows(counting);
    for (let counter = 1; counter <= 2 * blockCount; counter++)
      windows.admit("a", { epoch: 1, counter });
    expect(writeCount).toBe(2);
    const restarted = new ReceiveWindows(store);
    const ceiling = restarted.ceiling("a");
    expect(ceiling).toBeGreaterThanOrEqual(2 * blockCount);
    expect(codeOf(restarted, ceiling)).toBe("envelope_replayed");
    expect(codeOf(restarted, ceiling + 1)).toBeNull();
  });

  test("C-2 a ceiling that cannot be written admits nothing, and the message may come again", () => {
    const store = openTables();
    let isFull = false;
    const run: typeof store.run = (...parts) => {
      if (isFull) throw new Refusal("disk_full", "no space", "free some");
      return store.run(...parts);
    };
    const windows = new ReceiveWindows({ ...store, run }, small);
    expect(codeOf(windows, 1)).toBeNull();
    isFull = true;
    expect([2, 5, 6].map((counter) => codeOf(windows, counter))).toEqual([null, null, "disk_full"]);
    expect(codeOf(windows, 1, { epoch: 2 })).toBe("disk_full");
    isFull = false;
    expect([6, 6].map((counter) => codeOf(windows, counter))).toEqual([null, "envelope_replayed"]);
  });

  /**
   * A sender and a recipient whose processes end at any point, the recipient's at its disk too: what it
   * wrote and did not admit, and the reverse. Everything that was ever sent is sent again and again.
   */
  test.each([1, 2, 3, 4])(
    "C-2 nothing comes twice and senders go on, with seed %p",
    (seed) => {
      const folder = mkdtempSync(join(tmpdir(), "psionic-peer-"));
      let state = seed;
      const draw = (below: number) =>
        ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % below;
      /** Processes end here, not machines: what was written outlives them without waiting for the disk. */
      const open = () => {
        const opened = openTables(join(folder, "node.db"));
        opened.run("PRAGMA synchronous = OFF");
        return opened;
      };
      let store = open();
      const reopen = () => {
        store.close();
        store = open();
        return new ReceiveWindows(dying(), small);
      };
      /** Ends before or after a write that it was asked for, now and then. */
      const dying = () => ({
        ...store,
        transaction: <T>(work: () => T): T => {
          const fate = draw(6);
          if (fate === 0) throw new Died();
          const result = store.transaction(work);
          if (fate === 1) throw new Died();
          return result;
        },
      });
      try {
        let windows = reopen();
        let epoch = 1;
        let counters = new SendCounters();
        let deaths = 0;
        let lost = 0;
        const sent: { epoch: number; counter: number }[] = [];
        const admitted = new Set<string>();
        /** As the recipient's process lives it: true where the message was let in. */
        const deliver = (position: { epoch: number; counter: number }): boolean => {
          try {
            windows.admit("a", position);
          } catch (error) {
            if (error instanceof Died) {
              deaths++;
              windows = reopen();
            } else if (!(error instanceof Refusal)) throw error;
            return false;
          }
          const name = `${position.epoch}/${position.counter}`;
          expect([name, admitted.has(name)]).toEqual([name, false]);
          admitted.add(name);
          return true;
        };
        for (let round = 0; round < 1_000; round++) {
          if (draw(40) === 0) windows = reopen();
          if (draw(60) === 0) [epoch, counters] = [epoch + 1, new SendCounters()];
          if (draw(3) === 0 && sent.length > 0) deliver(sent[draw(sent.length)]!);
          const fresh = { epoch, counter: counters.next("b") };
          sent.push(fresh);
          if (draw(5) === 0) lost++;
          else if (!deliver(fresh)) {
            // The two meet: the recipient says its ceiling, and the sender goes on above it.
            counters.continueAbove("b", windows.ceiling("a"));
            for (;;) {
              const again = { epoch, counter: counters.next("b") };
              const deathsBefore = deaths;
              sent.push(again);
              const isIn = deliver(again);
              if (isIn) break;
              // Only another death of the recipient is a reason.
              expect(deaths).toBeGreaterThan(deathsBefore);
              counters.continueAbove("b", windows.ceiling("a"));
            }
          }
        }
        for (const position of sent) {
          windows = draw(20) === 0 ? reopen() : windows;
          if (position.epoch < epoch) expect(deliver(position)).toBe(false);
        }
        expect(deaths).toBeGreaterThan(10);
        expect(lost).toBeGreaterThan(100);
        expect(admitted.size).toBeGreaterThan(700);
      } finally {
        store.close();
        rmSync(folder, { recursive: true });
      }
    },
    30_000,
  );
});

class Died extends Error {}

describe("C-2 bounds", () => {
  test("C-2 who left gives way to who comes, members do not", () => {
    const store = openTables();
    const windows = new ReceiveWindows(store, small);
    for (const sender of ["a", "b", "c"]) expect(codeOf(windows, 1, { sender })).toBeNull();
    windows.retain(["a", "b", "c"]);
    expect(codeOf(windows, 1, { sender: "d" })).toBe("peer_busy");
    windows.retain(["a", "c", "d"]);
    expect(codeOf(windows, 1, { sender: "d" })).toBeNull();
    expect(Number(store.get("SELECT count(*) AS n FROM peer_window")!["n"])).toBe(3);
    // b, who left, comes back in an epoch that the mesh's state knows to be later.
    windows.retain(["a", "b", "c"]);
    expect(codeOf(windows, 1, { sender: "b", floorEpoch: 2 })).toBe("epoch_stale");
    for (const sender of ["a", "c"])
      expect(codeOf(windows, 1, { sender })).toBe("envelope_replayed");
  });

  test("C-2 a sender gives no counter out twice, not even to whom it forgot", () => {
    const counters = new SendCounters(2);
    expect(["a", "a", "b", "c"].map((each) => counters.next(each))).toEqual([1, 2, 1, 1]);
    expect(counters.next("a")).toBeGreaterThan(2);
    counters.continueAbove("c", 100);
    counters.continueAbove("c", 50);
    expect([counters.next("c"), counters.last("c")]).toEqual([101, 101]);
  });

  test.each([Number.MAX_SAFE_INTEGER, 2 ** 53, Infinity, 4e15 + 1e15])(
    "C-2 a ceiling of %p is nothing to go on above",
    (ceiling) => {
      const counters = new SendCounters();
      expect(refusalOf(() => counters.continueAbove("a", ceiling)).code).toBe("envelope_malformed");
      expect(counters.next("a")).toBe(1);
    },
  );
});
