import { expect, test } from "bun:test";
import { eventText } from "./event-wording.ts";

const backend = { backend: "cpu/avx2", threads: 2, plannedBytes: 1, peakFlops: 2e9 };

test.each([
  ["started", { step: 0, ...backend }, "started on cpu/avx2, 2 threads"],
  ["started", { step: 40, ...backend }, "went on after step 40 on cpu/avx2, 2 threads"],
  ["started", {}, "went on after step ? on ?, ? threads"],
  ["failed", { code: "not_finite", message: "NaN" }, "failed: NaN (not_finite)"],
  ["interrupted", { code: "interrupted", message: "Down." }, "interrupted: Down. (interrupted)"],
  ["crashed", { reason: "signal SIGKILL", inARow: 1 }, "the trainer died: signal SIGKILL"],
  [
    "fell-back",
    { fallBacks: [{ rung: "step 9", code: "checkpoint_corrupt", reason: "w differs" }] },
    "passed over step 9: w differs",
  ],
  ["fell-back", {}, "passed over "],
  ["replay-differs", { steps: [7, 8] }, "computed again, steps 7, 8 gave other bits"],
  ["checkpoint-failed", { step: 5, message: "full" }, "the checkpoint after step 5 failed: full"],
  ["not-resumed", { message: "busy" }, "the daemon could not go on with it: busy"],
  ["of-tomorrow", { a: 1 }, 'of-tomorrow {"a":1}'],
])("A-3 what happened to a run is a sentence: %s %o", (type, body, sentence) => {
  expect(eventText({ type, body })).toBe(sentence);
});
