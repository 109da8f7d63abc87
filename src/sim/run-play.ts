import type { Request } from "#src/cluster/event.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import { isOver, type Run } from "#src/window/run.ts";
import { workerOf } from "#src/window/workers.ts";
import type { Asked, Asking } from "./asking.ts";
import type { Chance } from "./chance.ts";
import { ensure } from "./failure.ts";
import type { RunShared } from "./run-shared.ts";
import { RunTraffic } from "./run-traffic.ts";
import { tickMs, type Surroundings } from "./surroundings.ts";

/** Ticks that who asks for something about runs has patience for. */
const patienceTicks = 40;

/** Ticks within which runs must come to their end once all else is well. */
const boundTicks = 6_000;
/** Ticks between two looks at who is there and what is paused, while runs come to their end. */
const resumeTicks = 10;
/** Ticks with a leader that is no member, after which nothing more is expected: an operator would have another lead. */
const unledBoundTicks = 100;

/** Has runs begun, paused, ended and disturbed, and sees them to their end. */
export class RunPlay {
  readonly #traffic: RunTraffic;
  readonly #chance: Chance;

  constructor(
    readonly world: Surroundings & Asked,
    readonly shared: RunShared,
    readonly asking: Asking,
  ) {
    this.#chance = world.chance(601);
    this.#traffic = new RunTraffic(this.#chance, shared);
  }

  get #state(): MeshState {
    return this.world.view().state;
  }

  begin(often: (meanTicks: number, work: () => void) => void): void {
    const { world, shared } = this;
    often(40, () => this.#ask(this.#traffic.begin(world.view())));
    often(120, () => this.#ask(this.#traffic.wish(world.view())));
    often(20, () => this.#ask(this.#traffic.mischief(world.view(), world.leaders()[0]?.id)));
    often(8, () => this.#ask(this.#traffic.sealAgain(world.view(), world.leaders()[0]?.id)));
    often(shared.weather.withholdEvery, () => this.#withhold());
  }

  #ask(asked: Request | null): void {
    if (asked !== null) this.asking.askAt(asked.author, asked, patienceTicks);
  }

  #withhold(): void {
    const { id } = this.#chance.pick(this.world.sites);
    const { plane } = this.shared;
    this.world.faults.add("work-withheld");
    plane.withhold(id);
    this.world.agenda.after(this.#chance.between(10, 60) * tickMs, () => plane.serve(id));
  }

  /** Lets time pass until every run that goes on has come to its end. */
  finish(tick: () => void): void {
    let unledTicks = 0;
    for (let left = boundTicks; !this.#areOver() && unledTicks < unledBoundTicks; left--) {
      ensure(left > 0, "runs-end", () => `not within ${boundTicks} ticks: ${this.#open()}`);
      unledTicks = this.#isLed() ? 0 : unledTicks + 1;
      if (left % resumeTicks === 0) this.#goOn();
      tick();
    }
  }

  /** Nodes say that they are there, and what is paused goes on. */
  #goOn(): void {
    const { state } = this.world.view();
    const untilMs = this.world.view().nowMs + 3_000;
    for (const site of this.world.sites) {
      const lease = state.leases.find(({ node }) => node === site.id);
      if (lease === undefined || lease.untilMs < untilMs) this.asking.keep(site, true);
    }
    const host = state.members.find(({ standing }) => standing === "ready");
    for (const asked of host ? this.#traffic.resume(state, host.node) : []) this.#ask(asked);
  }

  #areOver(): boolean {
    return this.#state.runs.every((run) => isOver(run) || !this.#canEnd(run));
  }

  /** Whether who leads belongs to the mesh, and so owes its runs something. */
  #isLed(): boolean {
    const id = this.world.leaders()[0]?.id;
    return this.#state.members.some((member) => member.node === id && isLive(member));
  }

  /** What is known of the runs that go on. */
  #open(): string {
    const { runs } = this.#state;
    return JSON.stringify(runs.filter((run) => !isOver(run)).map((run) => shown(run)));
  }

  /** Whether anybody is left who could work on it. */
  #canEnd({ run, ...rest }: Run): boolean {
    return this.#state.members.some((member) => {
      const worker = workerOf({ run, ...rest }, member.node);
      const isAble = !this.shared.workplace(member.node).temper.hopeless.has(run);
      const isTrainer = member.roles.includes("trainer") && isLive(member);
      return isTrainer && isAble && worker?.isQuarantined !== true;
    });
  }
}

function shown({ run, phase, reason, wish, window, heldCount, acceptedSlots, spec }: Run) {
  const { number, stage, contributions, accepted, computed, tasks } = window ?? {};
  const present = { number, stage, tasks: tasks?.length, contributions: contributions?.length };
  const progress = `${acceptedSlots}/${spec.slots}`;
  const shownWindow = { ...present, accepted, computed: computed?.length };
  return { run, phase, reason, wish, progress, heldCount, window: shownWindow };
}
