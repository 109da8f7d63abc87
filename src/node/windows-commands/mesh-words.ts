/** The words that only a run of the mesh takes: every entry is an option, a setting and a manifest's key. */
import * as v from "valibot";
import { durationText } from "#src/cluster/duration.ts";
import { validatorMaximum, windowStepMaximum, workerMaximum } from "#src/window/bounds.ts";
import { codecNames } from "#src/window/run.ts";

const whole = (least: number, most: number, text: string) =>
  v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most), v.description(text)),
  );
const share = (text: string, most = 1) =>
  v.optional(v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(most), v.description(text)));
const dayMs = 86_400_000;
const patience = (text: string) =>
  v.optional(
    v.pipe(
      durationText(text),
      v.check((words) => !/^\d/.test(words) || withinPatience(words), "from 100ms to a day"),
    ),
  );

/** Whether a duration is one that the mesh takes for a wait. */
function withinPatience(words: string): boolean {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(words) ?? [];
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: dayMs }[unit ?? ""] ?? 0;
  const ms = Number(amount) * unitMs;
  return unitMs === 0 || (ms >= 100 && ms <= dayMs);
}

/** Entries of `run start` beside those of `train`; what is left out follows from the size and the mesh. */
export const meshWords = {
  nodeBatch: whole(
    1,
    2 ** 20,
    "sequences a node takes at each local step; by default the batch over the nodes",
  ),
  windowSteps: whole(1, windowStepMaximum, "local steps of a node between two revisions"),
  segmentSteps: whole(1, windowStepMaximum, "local steps between two commitments of a node"),
  codec: v.optional(
    v.pipe(v.picklist(codecNames), v.description("how a node's contribution is packed")),
  ),
  carry: share("share of what the codec left out that a node sends with its next contribution"),
  outerRate: v.optional(
    v.pipe(
      v.number(),
      v.finite(),
      v.gtValue(0),
      v.maxValue(16),
      v.description("step of the outer optimizer"),
    ),
  ),
  outerMomentum: v.optional(
    v.pipe(
      v.number(),
      v.minValue(0),
      v.ltValue(1),
      v.description("momentum of the outer optimizer"),
    ),
  ),
  pace: v.optional(
    v.pipe(
      v.picklist(["measured", "even"]),
      v.description("whether slow nodes get fewer steps, or all the same"),
    ),
  ),
  participants: whole(1, workerMaximum, "most nodes that work in a window"),
  validators: whole(0, validatorMaximum, "nodes that judge each contribution"),
  replay: share("share of contributions of which a segment is recomputed, 0 to 1"),
  quorum: whole(1, workerMaximum, "nodes that must compute the same next revision"),
  strikes: whole(1, 1_000, "proven lies after which a node is out of the run"),
  trainPatience: patience("longest wait for contributions of a window, as in 10m"),
  judgePatience: patience("longest wait for verdicts"),
  mergePatience: patience("longest wait for the next revision"),
  silencePatience: patience("longest silence of a node before a window goes on without it"),
} as const;

export const meshWordsSchema = v.strictObject(meshWords);
export type MeshWords = v.InferOutput<typeof meshWordsSchema>;
