import type { RunStatus } from "./protocol.ts";
import { fixtureIds } from "./mesh.fixture.ts";
import type {
  MeshRun,
  Participant,
  RunHappening,
  ShownWindow,
  WindowPart,
  WindowsAnswer,
} from "./window-answers.ts";

/** A run of the mesh as one of its nodes answers: every outcome, stage and event there is. */

const nodes = [fixtureIds.self, fixtureIds.relayed, fixtureIds.degraded, fixtureIds.refused];
const latecomer = fixtureIds.offline;
export const fixtureRunId = "7k3mq9xa";
const startMs = Date.UTC(2026, 10, 21, 14, 0, 0);
const windowMs = 41_000;

const short = (node: string) => node.slice(0, 9);

function part(node: string, changes: Partial<WindowPart> = {}): WindowPart {
  const validator = nodes[(nodes.indexOf(node) + 1) % 4]!;
  const verdict = changes.outcome ?? "accepted";
  return {
    ...{ node, shortId: short(node), steps: 32, sizeBytes: 31_870, trainMs: 33_200 },
    ...{ outcome: "accepted", reasons: [], validators: [validator] },
    verdicts: [{ validator, verdict, reasons: changes.reasons ?? [], segment: 3 }],
    ...changes,
  };
}
const unjudged = { validators: [], verdicts: [] };
const nothing = { sizeBytes: null, trainMs: null, ...unjudged };

function windowAt(number: number, changes: Partial<ShownWindow> = {}): ShownWindow {
  const openedMs = startMs + number * windowMs;
  const parts = changes.parts ?? [
    ...nodes.map((node, index) => part(node, { steps: index === 2 ? 16 : 32 })),
    ...(number > 12 ? [part(latecomer, { steps: 24 })] : []),
  ];
  const counted = parts.filter(({ outcome }) => outcome === "accepted");
  return {
    ...{ number, stage: "promoted", reason: "", revision: number - (number > 15 ? 2 : 1) },
    progress: (number - 1) * 100,
    ...{ openedMs, sealedMs: openedMs + 34_000, scoredMs: openedMs + 38_000 },
    ...{ tookMs: windowMs - (number % 5) * 2_000, parts },
    acceptedSlots: counted.reduce((sum, { steps }) => sum + steps, 0),
    sizeBytes: parts.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
    denseBytes: parts.filter(({ sizeBytes }) => sizeBytes !== null).length * 3_311_616,
    loss: 4.2 * Math.exp(-number / 14) + 1.3,
    ...changes,
  };
}

const [self, other, slow, liar] = nodes as [string, string, string, string];

/** Windows 1 to 21: one with a loss, one with a lie, one that was held, the last one still open. */
export const fixtureWindows: readonly ShownWindow[] = [
  ...Array.from({ length: 20 }, (_, index) => windowAt(index + 1)).map((window) => {
    if (window.number === 7)
      return windowAt(7, {
        parts: [
          part(self),
          part(other, { outcome: "missed", ...nothing }),
          part(slow, { steps: 16 }),
          part(liar),
        ],
      });
    if (window.number === 10)
      return windowAt(10, {
        parts: [
          ...[part(self), part(other), part(slow, { steps: 16 })],
          part(liar, { outcome: "rejected", reasons: ["segment_differs"] }),
        ],
      });
    if (window.number === 15)
      return windowAt(15, {
        ...{ stage: "held", reason: "no_contribution", loss: null },
        ...{ acceptedSlots: 0, scoredMs: null },
        parts: [self, other, slow].map((node) => part(node, { outcome: "missed", ...nothing })),
      });
    return window;
  }),
  windowAt(21, {
    ...{ stage: "active", sealedMs: null, scoredMs: null, tookMs: null },
    ...{ loss: null, acceptedSlots: 0 },
    parts: [
      part(self, { outcome: "working", ...nothing }),
      part(other, { outcome: "given", ...unjudged }),
      part(slow, { outcome: "working", steps: 16, ...nothing }),
      part(latecomer, { outcome: "given", steps: 24, ...unjudged }),
    ],
  }),
];

const event = (
  kind: string,
  window: number,
  node: string | null,
  reason = "",
  isOfWindow = true,
): RunHappening => ({
  ...{ atMs: startMs + window * windowMs + 20_000, kind, node, reason },
  ...{ window: isOfWindow ? window : null, shortId: node === null ? null : short(node) },
  progress: Math.max(0, window - 1) * 100,
});

export const fixtureEvents: readonly RunHappening[] = [
  { ...event("created", 0, self), window: null },
  ...nodes.map((node) => event("joined", 1, node, "", false)),
  event("lost", 7, other),
  event("returned", 8, other, "", false),
  event("rejected", 10, liar, "segment_differs"),
  event("joined", 12, latecomer, "", false),
  event("handover", 15, null),
  ...[self, other, slow].map((node) => event("lost", 15, node)),
  event("held", 15, null, "no_contribution"),
];

const participant = (node: string, changes: Partial<Participant> = {}): Participant => ({
  ...{ node, shortId: short(node), isSelf: false, lane: "avx2", rate: 5_120 },
  standing: "training",
  ...{ steps: 32, stepsDone: null, revision: 19, acceptedSlots: 544 },
  ...{ acceptedCount: 18, rejectedCount: 0, missedCount: 1, strikes: 0, isQuarantined: false },
  ...changes,
});

/** The run in its 21st window, whose stage began 21 seconds ago. */
export function fixtureMesh(changes: Partial<MeshRun> = {}, nowMs = Date.now()): MeshRun {
  return {
    ...{ run: fixtureRunId, name: "shared", author: self, phase: "active", reason: "" },
    ...{ wish: "run", sinceMs: startMs, slots: 4_000, slotTokens: 2_048, scheduleSteps: 1_600 },
    ...{ acceptedSlots: 2_000, windowSteps: 32, segmentSteps: 4, validators: 1, replay: 0.25 },
    ...{ codec: "top-k", quorum: 3, revision: 19, revisionDigest: "d".repeat(64) },
    ...{ windowCount: 21, movedBytes: 2_358_380, denseBytes: 245_059_584, contributionCount: 74 },
    ...{ tokensPerSecond: 17_200, secondsLeft: 412 },
    ...{ acceptedCount: 74, rejectedCount: 2, missedCount: 4 },
    loss: { revision: 19, loss: 2.2811, isFull: false, exactMatch: 0.31 },
    window: {
      ...{ number: 21, stage: "active", openedMs: nowMs - 21_000, sinceMs: nowMs - 21_000 },
      ...{ deadlineMs: nowMs + 99_000, taskCount: 4, contributionCount: 2, verdictCount: 0 },
      ...{ verdictWantedCount: 0, computedCount: 0 },
    },
    participants: [
      participant(self, { isSelf: true, stepsDone: 19 }),
      participant(other, { standing: "given", lane: "avx512", rate: 9_840 }),
      participant(slow, { steps: 16, lane: "neon", rate: 2_410, acceptedSlots: 290 }),
      participant(liar, {
        ...{ standing: "out", steps: null, revision: null, strikes: 2, rejectedCount: 2 },
        isQuarantined: true,
      }),
      participant(latecomer, { standing: "given", steps: 24, acceptedCount: 8, missedCount: 0 }),
    ],
    spent: {
      ...{ trainSeconds: 690, validateSeconds: 41, mergeSeconds: 3 },
      ...{ receivedBytes: 2_812_400, sentBytes: 1_911_300 },
    },
    ...{ trouble: null, events: fixtureEvents, nowMs, ...changes },
  };
}

export const fixtureAnswer: WindowsAnswer = {
  ...{ run: fixtureRunId, windowCount: 21 },
  windows: fixtureWindows,
  events: fixtureEvents,
};

const manifest = {
  ...{ size: "micro", seed: 7, lane: "exact/1", batchSize: 8, microBatches: 1, contextLength: 256 },
  ...{ planDigest: "e".repeat(64), model: { layers: 4, width: 128 } },
  data: { digest: "f".repeat(64), reference: { task: "text" } },
};

/** Its status on a node that works on it. */
export function fixtureStatusOf(mesh: MeshRun): RunStatus {
  return {
    ...{ run: fixtureRunId, name: "shared", state: "running", createdMs: startMs },
    ...{ step: 800, steps: 1_600, last: null, percentOfPeak: null, evaluations: [] },
    checkpoints: [
      {
        ...{ step: 760, stateDigest: "1".repeat(64), manifestDigest: "2".repeat(64) },
        ...{ parent: null, sizeBytes: 10_485_760, isKept: true, isBest: true },
      },
    ],
    ...{ events: [], alerts: [], samples: [], plan: null, summary: null, manifest },
    digest: "3".repeat(64),
    mesh,
  };
}

/** Its curves as a node has them: its own steps are those of the schedule, what was measured is of revisions. */
export function fixtureSeries() {
  const count = 180;
  const step = Array.from({ length: count }, (_, index) => Math.round(((index + 1) * 760) / count));
  const column = (value: (at: number) => number) => step.map(value);
  const ended = fixtureWindows.filter(({ loss }) => loss !== null);
  const split = Object.fromEntries(
    ["data", "gradient", "norm", "update", "evaluate", "checkpoint"].map((name, index) => [
      name,
      column(() => 0.2 / (index + 1)),
    ]),
  );
  return {
    run: fixtureRunId,
    ...{ first: 1, last: 760 },
    steps: {
      step,
      loss: column((at) => 4.2 * Math.exp(-at / 400) + 1.2 + ((at * 37) % 11) / 60),
      gradientNorm: column((at) => 0.8 + ((at * 13) % 7) / 20),
      learningRate: column((at) => 0.003 * (1 - at / 1_600)),
      tokensPerSecond: column((at) => 5_100 + ((at * 29) % 13) * 9),
      percentOfPeak: column(() => 41),
      split,
    },
    evaluations: {
      step: ended.map((_, index) => index + 1),
      loss: ended.map(({ loss }) => loss!),
      bitsPerByte: ended.map(() => null),
      exactMatch: ended.map(() => 0),
    },
  };
}
