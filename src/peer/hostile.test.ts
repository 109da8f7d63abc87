import { expect, test } from "bun:test";
import { attack } from "./hostile.fixture.ts";
import { heldMaximumBytes } from "./parts.ts";

// scripts/soak/envelopes.ts sends as many as one likes.
test("C-2 20,000 hostile envelopes give nothing but refusals, and honest ones come through", () => {
  const run = attack(20_000, 1);
  expect(run.wronglyAdmitted).toBe(0);
  expect(run.honest).toEqual({ sent: 20, admitted: 20 });
  expect(run.heldBytes).toBeLessThanOrEqual(heldMaximumBytes);
  expect(run.senderCount).toBeLessThanOrEqual(21);
  // Each guard was reached: a run that never gets past the first one shows little.
  for (const code of [
    ...["envelope_malformed", "envelope_misdirected", "mesh_wrong", "envelope_forged"],
    ...["epoch_stale", "envelope_replayed", "parts_broken", "peer_busy"],
    ...["claims_detached", "claims_invalid", "admitted"],
  ])
    expect([code, (run.counts[code] ?? 0) > 10]).toEqual([code, true]);
}, 60_000);
