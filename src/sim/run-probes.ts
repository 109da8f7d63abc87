import type { Event } from "#src/cluster/event.ts";
import type { MeshOutcome } from "#src/cluster/mesh-fold.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import type { Saying } from "#src/window/event.ts";
import type { Run, Window } from "#src/window/run.ts";
import { workerOf } from "#src/window/workers.ts";
import type { Count } from "./count.ts";
import type { ProbeName } from "./probes.ts";
import { slotsOf } from "./toy-step.ts";

const ofRefusal: Readonly<Record<string, ProbeName>> = {
  statement_stale: "statement-stale",
  statement_forged: "statement-forged",
  window_stale: "window-stale",
  window_unready: "window-unready",
  run_over: "run-over",
};

/** Counts what committed events show of runs, once for each. */
export class RunProbes {
  /** The first slot that was never given out, of each run. */
  readonly #untouched = new Map<string, number>();
  /** Who opened the present window of each run. */
  readonly #openers = new Map<string, string>();

  constructor(readonly probes: Count<ProbeName>) {}

  committed(before: MeshState, after: MeshState, event: Event, outcome: MeshOutcome): void {
    const { command } = event;
    if ("refused" in outcome) return this.#refused(event, outcome.refused);
    if (before.runs === after.runs) return;
    const run = after.runs.find((each) => !before.runs.includes(each));
    if (run === undefined) return;
    const old = before.runs.find((each) => each.run === run.run);
    if (old === undefined) return this.probes.add("run-begun");
    this.#phases(old, run, after);
    this.#orders(old, run, event);
    if (command.kind === "run-stated")
      this.#said(old, run, command.statement.node, command.statement.said);
    if (old.window !== null && run.window === null) this.#ended(old, run);
  }

  #refused({ command }: Event, code: string): void {
    if (command.kind !== "run-stated" && !("window" in command)) return;
    const name = ofRefusal[code];
    if (name !== undefined) this.probes.add(name);
    const isWork =
      command.kind === "run-stated" && command.statement.said.saying === "contribution";
    if (isWork && code === "window_stale") this.probes.add("contribution-late");
  }

  #phases(old: Run, run: Run, { members }: MeshState): void {
    if (old.wish === "run" && run.wish === "pause") this.probes.add("run-paused");
    if (old.wish === "pause" && run.wish === "run") this.probes.add("run-resumed");
    if (old.phase === run.phase) return;
    if (run.phase === "stopped") this.probes.add("run-stopped");
    if (run.phase === "recovering") this.probes.add("run-recovering");
    if (run.phase !== "completed") return;
    this.probes.add("run-completed");
    if (!members.some((member) => member.node === run.author && isLive(member)))
      this.probes.add("run-outlived-its-author");
  }

  #orders(old: Run, run: Run, { command, author }: Event): void {
    if (command.kind === "window-opened") {
      this.#openers.set(run.run, author);
      this.#assigned(run.run, run.window!);
    }
    const isOther = "fence" in command && this.#openers.get(run.run) !== author;
    if (isOther && old.window !== null) this.probes.add("coordinator-changed-in-window");
    if (command.kind === "window-sealed" && (old.window?.contributions.length ?? 0) >= 3)
      this.probes.add("window-of-many");
    if (command.kind === "validators-redrawn") this.probes.add("validators-redrawn");
    if (command.kind === "contribution-lost") this.probes.add("contribution-lost");
  }

  #assigned(run: string, { tasks }: Window): void {
    const slots = tasks.flatMap((task) => slotsOf(task));
    const untouched = this.#untouched.get(run) ?? 0;
    if (slots.some((slot) => slot < untouched)) this.probes.add("slice-reassigned");
    this.#untouched.set(run, Math.max(untouched, ...slots.map((slot) => slot + 1)));
  }

  #said(old: Run, run: Run, node: string, said: Saying): void {
    const known = workerOf(old, node);
    switch (said.saying) {
      case "ready":
        if (known === undefined && said.revision > 0) this.probes.add("joiner-mid-run");
        if ((known?.missedCount ?? 0) > 0) this.probes.add("worker-back");
        break;
      case "gone":
        this.probes.add("worker-gone");
        break;
      case "verdict":
        if (said.segment !== null && said.recomputed !== null)
          this.probes.add("segment-recomputed");
        break;
      case "revision":
        if (old.window === null) this.probes.add("revision-late");
        else if (run.window !== null) this.probes.add("quorum-awaited");
        break;
      case "evaluation":
        this.probes.add("revision-evaluated");
        break;
      case "contribution":
    }
    for (const worker of run.workers) {
      const before = workerOf(old, worker.node);
      if ((before?.rejectedCount ?? 0) < worker.rejectedCount)
        this.probes.add("contribution-rejected");
      if (before?.isQuarantined === false && worker.isQuarantined)
        this.probes.add("worker-quarantined");
    }
  }

  #ended(old: Run, { revision }: Run): void {
    this.probes.add(revision.number > old.revision.number ? "window-promoted" : "window-held");
  }
}
