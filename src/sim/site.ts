import type { Durable, Write } from "#src/log/durable.ts";
import { Replica, type Effect, type Input } from "#src/log/replica.ts";
import { Application, stamped } from "./application.ts";
import type { Chance } from "./chance.ts";
import type { Seen } from "./checks.ts";
import { SimulatedDisk, stepCount } from "./disk.ts";
import { flawedReduce } from "./mesh-flaw.ts";
import { logFlawOf, meshFlawOf } from "./planted.ts";
import { epochMs, tickMs, type Surroundings } from "./surroundings.ts";

interface Pending {
  readonly token: number;
  readonly write: Write;
}

/** Inputs a paused process may find waiting; more are lost, as a full socket loses them. */
const heldMaximum = 2_000;

/** One simulated machine: a process that may be killed or paused, a clock that may be wrong, a disk. */
export class Site implements Seen {
  replica: Replica | null = null;
  readonly disk: SimulatedDisk;
  readonly #chance: Chance;
  #life = 0;
  #isPaused = false;
  #held: Input[] = [];
  #writes: Pending[] = [];
  #isBroken = false;
  #tickMs = tickMs;
  /** By how much the clock is ahead. */
  #aheadMs: number;

  constructor(
    readonly world: Surroundings,
    readonly id: string,
    readonly number: number,
    durable: Durable,
  ) {
    this.disk = new SimulatedDisk(durable);
    this.#chance = world.chance(100 + number);
    this.#aheadMs = world.chance(400 + number).between(-400, 400);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  start(): void {
    if (this.replica !== null) return;
    const { world } = this;
    if (this.disk.entries.length > 0) world.probes.add("restart-with-tail");
    const { driftPercent } = world.weather;
    if (driftPercent > 0) world.faults.add("clock-drift");
    this.#tickMs = tickMs + this.#chance.between(-driftPercent, driftPercent);
    this.replica = new Replica(
      {
        id: this.id,
        tuning: {
          heartbeatTicks: 2,
          electionTicks: 10,
          entriesPerMessage: world.entriesPerMessage,
        },
        draw: () => this.#chance.fraction(),
        meaning: this.#application(),
        sessionMaximum: world.sessionMaximum,
        snapshotEvery: world.snapshotEvery,
        keptEntries: world.keptEntries,
        flaw: logFlawOf(world.flaw),
      },
      { ...this.disk, entries: [...this.disk.entries] },
    );
    this.#tickLater(this.#life);
  }

  #clockMs(): number {
    return epochMs + this.world.agenda.nowMs + this.#aheadMs;
  }

  #application(): Application {
    const flaw = meshFlawOf(this.world.flaw);
    if (flaw === null) return new Application(this.id);
    return new Application(
      this.id,
      flawedReduce(flaw, () => this.#clockMs()),
    );
  }

  #tickLater(life: number): void {
    this.world.agenda.after(this.#tickMs, () => {
      if (this.#life !== life) return;
      if (!this.#isPaused) this.feed({ kind: "tick" });
      if (this.#life === life) this.#tickLater(life);
    });
  }

  /** The clock is right again, from the next tick on. */
  mendClock(): void {
    this.#tickMs = tickMs;
    this.#aheadMs = 0;
  }

  /** The clock leaps forward: many ticks at once. */
  jump(): void {
    if (this.replica === null || this.#isPaused) return;
    this.world.faults.add("clock-jump");
    const ticks = this.#chance.between(5, 40);
    this.#aheadMs += ticks * tickMs;
    for (let count = ticks; count > 0; count--) this.feed({ kind: "tick" });
  }

  pause(): void {
    if (this.replica === null) return;
    this.#isPaused = true;
    this.world.faults.add("pause");
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const held = this.#held;
    this.#held = [];
    // What waited on different sockets is read in any order; what the disk says has one.
    const others = held.filter(({ kind }) => kind !== "stored" && kind !== "failed");
    const disk = held.filter((input) => !others.includes(input));
    for (const input of [...disk, ...this.#chance.shuffled(others)]) this.feed(input);
  }

  /** Power is gone. Of the write under way a part may be on the disk; of those behind it, nothing. */
  crash(): void {
    if (this.replica === null) return;
    const [first] = this.#writes;
    this.world.faults.add("crash");
    if (first !== undefined) {
      const steps = this.#chance.below(stepCount(first.write) + 1);
      this.world.faults.add(steps === 0 ? "lost-write" : "torn-write");
      this.disk.carryOut(first.write, steps);
    }
    this.#end();
  }

  #end(): void {
    if (this.replica?.core.role === "leader") this.world.probes.add("leader-crashed");
    this.replica = null;
    this.#life++;
    this.#isPaused = false;
    this.#held = [];
    this.#writes = [];
    this.#isBroken = false;
    this.world.note(3, this.number);
    this.world.agenda.after(this.#chance.between(2, 80) * tickMs, () => this.start());
  }

  /** Gives the process an input and carries out what it wants. */
  feed(input: Input): void {
    const { replica, world } = this;
    if (replica === null) return;
    if (this.#isPaused) {
      if (this.#held.length < heldMaximum) this.#held.push(input);
      return;
    }
    const { core } = replica;
    const before = { role: core.role, term: core.term };
    const isAhead = core.lastIndex > core.commitIndex;
    const { commitIndex } = core;
    const isDuringWrite = replica.writeCount > 0;
    const effects = replica.step(this.#stamped(input, core.term));
    world.note(1, this.number, core.term, core.lastIndex, core.commitIndex, effects.length);
    if (isDuringWrite) world.probes.add("step-during-write");
    this.#probe(input, before, isAhead, commitIndex, replica);
    this.#carryOut(effects, replica);
    // Whoever looks after the machine starts it again.
    if (replica.hasFailed) this.#end();
  }

  /** What is submitted carries the time of the node that takes it. */
  #stamped(input: Input, term: number): Input {
    if (input.kind !== "submit" || input.payload.kind !== "command") return input;
    const body = stamped(input.payload.body, this.#clockMs(), term);
    return { ...input, payload: { ...input.payload, body } };
  }

  #carryOut(effects: readonly Effect[], replica: Replica): void {
    const { world } = this;
    let hasApplied = false;
    for (const effect of effects) {
      switch (effect.kind) {
        case "store":
          world.checks.writing(this.id, replica, effect.write);
          this.#probeWrite(effect.write);
          this.#write(effect);
          break;
        case "send":
          world.checks.sending(this.disk, effect.message);
          world.send(effect.message);
          break;
        case "answer":
          world.answer(effect.request, effect.outcome);
          break;
        case "applied":
          hasApplied = true;
          world.checks.applied(this.id, effect.entry, replica.core.term);
          break;
        case "restored":
          hasApplied = true;
          world.probes.add("snapshot-installed");
      }
    }
    world.checks.stepped(this.id, replica, this.disk, hasApplied);
  }

  #write(write: Pending): void {
    if (this.#isBroken) return;
    this.#writes.push(write);
    if (this.#writes.length === 1) this.#writeFirst();
  }

  #writeFirst(): void {
    const life = this.#life;
    const { weather, faults, agenda } = this.world;
    let delayMs = this.#chance.between(1, 10);
    if (this.#chance.happens(weather.slowDisk)) {
      faults.add("slow-disk");
      delayMs += this.#chance.between(tickMs, 25 * tickMs);
    }
    agenda.after(delayMs, () => {
      if (this.#life === life) this.#finishWrite(this.#writes[0]!);
    });
  }

  #finishWrite({ token, write }: Pending): void {
    const { weather, faults } = this.world;
    const chance = this.#chance;
    const fate = chance.happens(weather.writeCrash)
      ? chance.pick(["crash-before-write", "torn-write", "crash-after-write"] as const)
      : chance.happens(weather.failedWrite)
        ? "failed-write"
        : null;
    if (fate !== null) faults.add(fate);
    if (fate === "crash-before-write") return this.#end();
    const steps = stepCount(write);
    const isPart = fate === "torn-write" || fate === "failed-write";
    this.disk.carryOut(write, isPart ? chance.below(steps) : steps);
    if (fate === "torn-write" || fate === "crash-after-write") return this.#end();
    // A disk that failed carries out nothing more until the machine starts anew.
    if (fate === "failed-write") this.#writes = [];
    this.#isBroken = fate === "failed-write";
    this.#writes.shift();
    if (this.#writes.length > 0) this.#writeFirst();
    this.feed({ kind: fate === null ? "stored" : "failed", token });
  }

  #probeWrite({ truncateFrom }: Write): void {
    if (truncateFrom === 0) return;
    this.world.probes.add("entries-overwritten");
    const dropped = this.disk.entries.slice(
      Math.max(0, truncateFrom - this.disk.snapshot.index - 1),
    );
    if (dropped.some(({ kind }) => kind === "membership"))
      this.world.probes.add("member-change-undone");
  }

  #probe(
    input: Input,
    before: { readonly role: string; readonly term: number },
    wasAhead: boolean,
    commitIndex: number,
    { core }: Replica,
  ): void {
    const { probes } = this.world;
    if (before.role === "leader" && core.role !== "leader") {
      if (wasAhead) probes.add("deposed-with-uncommitted");
      if (input.kind === "tick") probes.add("quorum-lost");
      if (!core.membership.voters.includes(this.id)) probes.add("leader-removed");
    }
    if (before.role === "candidate" && core.role !== "leader" && core.role !== "candidate")
      probes.add("election-without-winner");
    if (core.role === "leader" && core.commitIndex > commitIndex) {
      const first = core.history.termAt(commitIndex + 1);
      if (first !== null && first < core.term) probes.add("old-terms-committed");
    }
    if (input.kind !== "message") return;
    const { message } = input;
    if (message.term < before.term) probes.add("message-of-old-term");
    if (message.kind === "snapshot" && message.snapshot.index <= commitIndex)
      probes.add("snapshot-overtaken");
  }
}
