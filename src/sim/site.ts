import type { Durable, Write } from "#src/log/durable.ts";
import { defaultVoterMaximum } from "#src/cluster/placing.ts";
import { ClusterNode, type NodeEffect, type NodeInput } from "#src/cluster/node.ts";
import type { NodeMessage } from "#src/cluster/node-message.ts";
import type { Replica } from "#src/log/replica.ts";
import { Application, stamped } from "./application.ts";
import type { Chance } from "./chance.ts";
import type { Seen } from "./checks.ts";
import { SimulatedDisk, stepCount } from "./disk.ts";
import { Part, type PartHost } from "./part.ts";
import { flawedWork, logFlawOf, nodeFlawOf } from "./planted.ts";
import { SiteProbes } from "./site-probes.ts";
import { epochMs, tickMs, type Surroundings } from "./surroundings.ts";

interface Pending {
  readonly token: number;
  readonly write: Write;
}

/** Inputs a paused process may find waiting; more are lost, as a full socket loses them. */
const heldMaximum = 2_000;

/** One simulated machine: a process that may be killed or paused, a clock that may be wrong, a disk. */
export class Site implements Seen {
  node: ClusterNode | null = null;
  readonly disk: SimulatedDisk;
  readonly #chance: Chance;
  #life = 0;
  #isPaused = false;
  #held: NodeInput[] = [];
  #writes: Pending[] = [];
  #isBroken = false;
  #tickMs = tickMs;
  readonly #probes: SiteProbes;
  /** The last index that it noted down as applied, beside its log. */
  #recordedIndex = 0;
  /** By how much the clock is ahead. */
  #aheadMs: number;
  readonly #work: Chance;
  #part: Part | null = null;

  constructor(
    readonly world: Surroundings,
    readonly id: string,
    readonly number: number,
    durable: Durable,
  ) {
    this.disk = new SimulatedDisk(durable);
    this.#chance = world.chance(100 + number);
    this.#probes = new SiteProbes(world, id);
    this.#aheadMs = world.chance(400 + number).between(-400, 400);
    this.#work = world.chance(700 + number);
  }

  get replica(): Replica | null {
    return this.node?.replica ?? null;
  }

  start(): void {
    if (this.node !== null) return;
    const { world } = this;
    if (this.disk.entries.length > 0) world.probes.add("restart-with-tail");
    const { driftPercent } = world.weather;
    if (driftPercent > 0) world.faults.add("clock-drift");
    this.#tickMs = tickMs + this.#chance.between(-driftPercent, driftPercent);
    this.node = new ClusterNode(
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
        // Half of them remember what they had applied; the others learn it from a leader.
        committedIndex: this.#chance.happens(0.5) ? this.#recordedIndex : 0,
        voterMaximum: defaultVoterMaximum,
        wallMs: () => this.#clockMs(),
        flaw: nodeFlawOf(world.flaw),
        logFlaw: logFlawOf(world.flaw),
      },
      { ...this.disk, entries: [...this.disk.entries] },
    );
    this.#tickLater(this.#life);
    this.#takePart();
  }

  /** A process works on the runs of its mesh, as far as it is asked to. */
  #takePart(): void {
    const { world, id } = this;
    if (world.runs === null) return;
    const host: PartHost = {
      id,
      mesh: () => this.node?.mesh ?? null,
      isPaused: () => this.#isPaused,
      ask: (asked, patienceTicks, answered) => world.askAt(id, asked, patienceTicks, answered),
    };
    this.#part = new Part(world, world.runs, host, this.#work);
  }

  #clockMs(): number {
    return epochMs + this.world.agenda.nowMs + this.#aheadMs;
  }

  #application(): Application {
    const { flaw, checks } = this.world;
    return new Application(
      this.id,
      flawedWork(flaw, () => this.#clockMs()),
      checks.runs,
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
    this.node = null;
    this.#life++;
    this.world.ended(this.id);
    this.#endWork();
    this.#isPaused = false;
    this.#held = [];
    this.#writes = [];
    this.#isBroken = false;
    this.world.note(3, this.number);
    this.world.agenda.after(this.#chance.between(2, 80) * tickMs, () => this.start());
  }

  #endWork(): void {
    this.#part?.end();
    this.#part = null;
    const { runs, faults } = this.world;
    if (runs === null || !this.#work.happens(runs.weather.workLost)) return;
    faults.add("work-lost");
    runs.workplace(this.id).disk.lose();
  }

  /** Gives the process an input and carries out what it wants. */
  feed(input: NodeInput): void {
    const { node, world } = this;
    if (node === null) return;
    if (this.#isPaused) {
      if (this.#held.length < heldMaximum) this.#held.push(input);
      return;
    }
    const { replica } = node;
    const { core } = replica;
    const before = this.#probes.before(replica, input);
    const effects = node.step(this.#stamped(input, core.term));
    world.note(1, this.number, core.term, core.lastIndex, core.commitIndex, effects.length);
    this.#probes.stepped(input, before, effects, node);
    this.#carryOut(effects, replica);
    // Whoever looks after the machine starts it again.
    if (replica.hasFailed) this.#end();
  }

  /** What clients submit to the log itself carries the time of the node that takes it. */
  #stamped(input: NodeInput, term: number): NodeInput {
    if (input.kind !== "direct") return input;
    const { input: inner } = input;
    if (inner.kind !== "submit" || inner.payload.kind !== "command") return input;
    const body = stamped(inner.payload.body, this.#clockMs(), term);
    return { ...input, input: { ...inner, payload: { ...inner.payload, body } } };
  }

  #carryOut(effects: readonly NodeEffect[], replica: Replica): void {
    const { world } = this;
    let hasApplied = false;
    for (const effect of effects) {
      switch (effect.kind) {
        case "store":
          world.checks.writing(this.id, replica, effect.write);
          this.#probes.writing(effect.write, this.disk);
          this.#write(effect);
          break;
        case "send": {
          const { to, message } = effect;
          if (message.kind === "log") world.checks.sending(this.disk, message.message);
          if (!world.send({ from: this.id, to, message })) this.#missed(to, message);
          break;
        }
        case "passed":
          world.answer(effect.request, effect.outcome);
          break;
        case "answer":
          world.asked(effect.request, effect.outcome);
          break;
        case "applied":
          hasApplied = true;
          this.#recordedIndex = Math.max(this.#recordedIndex, effect.index);
          world.checks.applied(this.id, effect.entry, replica.core.term);
          break;
        case "restored":
          hasApplied = true;
          world.probes.add("snapshot-installed");
          break;
        case "led":
      }
    }
    world.checks.stepped(this.id, replica, this.disk, hasApplied);
    if (hasApplied && this.node !== null) this.#part?.applied(this.node.mesh);
  }

  /** A link that is down is noticed now and then, and the node told. */
  #missed(to: string, message: NodeMessage): void {
    if (message.kind === "log" || !this.#chance.happens(0.5)) return;
    const life = this.#life;
    this.world.agenda.after(1, () => {
      if (this.#life !== life) return;
      this.world.probes.add("ask-unsent");
      this.feed({ kind: "unsent", to, message });
    });
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
}
