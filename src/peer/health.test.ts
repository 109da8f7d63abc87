import { describe, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { backOffPolicy, LinkHealth, type LinkReason } from "./health.ts";

const closed: LinkReason = { code: "peer_port_closed", message: "m", hint: "h" };
const stranger: LinkReason = { code: "member_unknown", message: "m", hint: "h" };
/** The longest delays: the draw is as near to 1 as makes no difference. */
const slowest = () => 1;
const quickest = () => 0;
const down = { isUp: false, silentMs: null, staleMs: 15_000, isLossy: false };
const up = { ...down, isUp: true, silentMs: 0 };

/** Delays after so many failures in a row, each told at the moment the dial was due. */
function delays(health: LinkHealth, count: number, reason = closed, isRefused = false): number[] {
  return Array.from({ length: count }, () => {
    const nowMs = health.nextDialMs;
    health.failed(nowMs, reason, isRefused);
    return health.nextDialMs - nowMs;
  });
}

describe("C-8 a member that is not reached is dialled again, ever more seldom", () => {
  test("C-8 from a quarter of a second to thirty, with half of it drawn", () => {
    const seconds = [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30];
    const late = delays(new LinkHealth(backOffPolicy, slowest, 1_000), 9);
    expect(late.map((ms) => ms / 1000)).toEqual(seconds);
    const early = delays(new LinkHealth(backOffPolicy, quickest, 1_000), 9);
    expect(early.map((ms) => ms / 500)).toEqual(seconds);
  });

  test("C-8 a thousand failures neither overflow nor stop the dialling", () => {
    expect(delays(new LinkHealth(backOffPolicy, slowest, 0), 1_000).at(-1)).toBe(30_000);
  });

  test("C-8 a refusal backs off for longer than silence", () => {
    const refused = delays(new LinkHealth(backOffPolicy, slowest, 0), 8, stranger, true);
    expect(refused.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test("C-8 a link that stood for a while is dialled at once when it is lost, one that flaps is not", () => {
    const steady = new LinkHealth(backOffPolicy, slowest, 0);
    delays(steady, 6);
    steady.met(100_000);
    expect(steady.failureCount).toBe(0);
    steady.lost(100_000 + backOffPolicy.steadyMs, closed);
    expect(steady.nextDialMs - 100_000 - backOffPolicy.steadyMs).toBe(125);

    const flapping = new LinkHealth(backOffPolicy, slowest, 0);
    delays(flapping, 6);
    flapping.met(100_000);
    flapping.lost(100_001, closed);
    expect(flapping.nextDialMs - 100_001).toBe(8_000);
    flapping.met(120_000);
    flapping.lost(120_001, closed);
    expect(flapping.nextDialMs - 120_001).toBe(16_000);
  });

  test("C-8 who moved is dialled at once, and backs off anew", () => {
    const health = new LinkHealth(backOffPolicy, slowest, 0);
    delays(health, 8);
    health.hurry(5_000);
    expect(health.nextDialMs).toBe(5_000);
    expect(delays(health, 2)).toEqual([250, 500]);
    expect(health.failureCount).toBe(10);
  });
});

describe("C-8 the state of a link says what is amiss", () => {
  test("C-8 connecting, then unreachable or refused with the reason of the last attempt", () => {
    const health = new LinkHealth(backOffPolicy, slowest, 0);
    expect([health.state(down), health.reason]).toEqual(["connecting", null]);
    health.failed(1, closed, false);
    expect([health.state(down), health.reason]).toEqual(["unreachable", closed]);
    health.failed(2, stranger, true);
    expect([health.state(down), health.reason]).toEqual(["refused", stranger]);
    health.met(3);
    expect([health.state(up), health.reason]).toEqual(["connected", null]);
    health.lost(4, closed);
    expect([health.state(down), health.reason]).toEqual(["unreachable", closed]);
  });

  test("C-8 the reason of a refusal is whole wherever it is copied to", () => {
    const health = new LinkHealth(backOffPolicy, slowest, 0);
    const refusal = new Refusal("peer_port_closed", "nothing listens there", "start it", {});
    health.failed(1, refusal, false);
    const told = { code: "peer_port_closed", message: "nothing listens there", hint: "start it" };
    expect({ ...health.reason }).toEqual(told);
    health.met(2);
    health.lost(3, refusal);
    expect(JSON.parse(JSON.stringify(health.reason))).toEqual(told);
  });

  test("C-8 degraded while it is up and pings are lost, or silent beyond the stale time", () => {
    const health = new LinkHealth(backOffPolicy, slowest, 0);
    health.met(1);
    expect(health.state({ ...up, isLossy: true })).toBe("degraded");
    expect(health.state({ ...up, silentMs: 15_000 })).toBe("connected");
    expect(health.state({ ...up, silentMs: 15_001 })).toBe("degraded");
  });
});
