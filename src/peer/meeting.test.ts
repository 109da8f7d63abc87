import { describe, expect, test } from "bun:test";
import { judgeMeet, linkVersion, readMeet, readRefuse, refuseBody, type Meet } from "./meeting.ts";
import { alice, refusalOf } from "./peer.fixture.ts";

const [first, second] = ["1".repeat(32), "2".repeat(32)] as const;
const meet: Meet = { version: linkVersion, epoch: 7, instance: first, ceiling: 0 };
const node = alice.nodeId;
const live = { epoch: 7, instance: first };
const codeOf = (work: () => unknown) => refusalOf(work).code;

describe("I-1 of one node one process speaks", () => {
  test("I-2 a start no earlier than any that was seen is taken, an earlier one refused", () => {
    judgeMeet(meet, { node, epoch: 0, live: null });
    judgeMeet(meet, { node, epoch: 7, live: null });
    judgeMeet(meet, { node, epoch: 7, live });
    judgeMeet(meet, { node, epoch: 6, live: { epoch: 6, instance: second } });
    expect(codeOf(() => judgeMeet(meet, { node, epoch: 8, live: null }))).toBe("epoch_stale");
  });

  test("I-1 another process of the same start is refused while the first is heard, and both are named", () => {
    const copy = { ...meet, instance: second };
    judgeMeet(copy, { node, epoch: 7, live: null });
    const refusal = refusalOf(() => judgeMeet(copy, { node, epoch: 7, live }));
    expect(refusal.code).toBe("home_copied");
    expect(refusal.message).toContain(node);
    expect(refusal.message).toContain(first.slice(0, 8));
    expect(refusal.message).toContain(second.slice(0, 8));
  });

  test("I-1 so is a process that comes back after a later start took its place, and lives", () => {
    const known = { node, epoch: 8, live: { epoch: 8, instance: second } };
    const previous = { epoch: 7, instance: first };
    const refusal = refusalOf(() => judgeMeet(meet, { ...known, previous }));
    expect(refusal.code).toBe("home_copied");
    expect(refusal.message).toContain(`${first.slice(0, 8)} of epoch 7`);
    expect(refusal.message).toContain(`${second.slice(0, 8)} of epoch 8`);
    // One that nobody heard may be an old copy that was started by itself; and who is gone copies nothing.
    const stranger = { ...meet, instance: "3".repeat(32) };
    expect(codeOf(() => judgeMeet(stranger, { ...known, previous }))).toBe("epoch_stale");
    expect(codeOf(() => judgeMeet(meet, { ...known, live: null, previous }))).toBe("epoch_stale");
  });
});

describe("C-2 the first words are checked", () => {
  test("C-2 another version, and what is no meeting", () => {
    expect(readMeet({ ...meet })).toEqual(meet);
    expect(codeOf(() => readMeet({ ...meet, version: 2 }))).toBe("peer_version");
    for (const change of [
      { epoch: -1 },
      { epoch: 1.5 },
      { instance: "x" },
      { ceiling: null },
      { more: 1 },
    ])
      expect(codeOf(() => readMeet({ ...meet, ...change }))).toBe("envelope_malformed");
  });

  test("C-2 a refusal is told with its reason; a code nobody knows is told apart", () => {
    const reason = { code: "epoch_stale", message: "m", hint: "h" };
    expect(readRefuse(refuseBody(reason))).toEqual(reason);
    expect(readRefuse({ ...reason, code: "of_tomorrow" }).code).toBe("peer_refused");
    expect(readRefuse({ ...reason, code: "constructor" }).code).toBe("peer_refused");
    for (const change of [{ code: 1 }, { code: "A" }, { message: "m".repeat(2_001) }, { more: 1 }])
      expect(codeOf(() => readRefuse({ ...reason, ...change }))).toBe("envelope_malformed");
    const long = refuseBody({ ...reason, message: "m".repeat(9_000) });
    expect(readRefuse(long).message).toHaveLength(2_000);
    const drawing = readRefuse({ ...reason, message: "m\npsna  connected", hint: "\u001b[2Jh" });
    expect(drawing).toMatchObject({ message: "m psna  connected", hint: " [2Jh" });
  });
});
