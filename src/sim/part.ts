import { digestJson } from "#src/codec/digest.ts";
import type { Request } from "#src/cluster/event.ts";
import type { AskOutcome } from "#src/cluster/lanes.ts";
import { memberOf } from "#src/cluster/members.ts";
import { surroundingsOf } from "#src/cluster/runs.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import { dutiesOf } from "#src/window/duties.ts";
import type { ParticipantEffect, ParticipantInput } from "#src/window/job.ts";
import { Participant } from "#src/window/participant.ts";
import type { Run } from "#src/window/run.ts";
import { signStatement } from "#src/window/statement.ts";
import type { Chance } from "./chance.ts";
import { signingKeyOf } from "./keys.ts";
import type { RunShared } from "./run-shared.ts";
import { tickMs, type Surroundings } from "./surroundings.ts";
import { ToyWorker } from "./toy-worker.ts";

/** Ticks between two looks at the state, beside those that an event brings about. */
const lookTicks = 5;
/** How long a statement may be on its way to the coordinator. */
const sayTicks = 40;

/** What a part sees and uses of the process it belongs to. */
export interface PartHost {
  readonly id: string;
  /** Null once the process is gone. */
  mesh(): MeshState | null;
  isPaused(): boolean;
  ask(asked: Request, patienceTicks: number, answered: (outcome: AskOutcome) => void): void;
}

type Say = ParticipantEffect & { readonly kind: "say" };

/** A process's part in the runs of its mesh: the product's participant, with a toy worker and real signatures. */
export class Part {
  readonly #participant: Participant;
  readonly #worker: ToyWorker;
  #isOver = false;
  #isLookPlanned = false;
  #seen: readonly Run[] = [];
  /** What a planted mistake remembers: the words before the latest, of each run. */
  /** What statements of a run named last, and what before that. */
  readonly #named = new Map<
    string,
    { readonly last: Say["previous"]; readonly before: Say["previous"] }
  >();

  constructor(
    readonly world: Surroundings,
    readonly shared: RunShared,
    readonly host: PartHost,
    chance: Chance,
  ) {
    this.#participant = new Participant({ node: host.id, duties: dutiesOf });
    this.#worker = new ToyWorker(world, shared, host.id, chance, (input) => this.#hear(input));
    this.#lookAgain();
  }

  /** The process is gone. */
  end(): void {
    this.#isOver = true;
    this.#worker.end();
  }

  /** Looks soon, if something about runs changed here. */
  applied({ runs }: MeshState): void {
    if (this.#isLookPlanned || runs === this.#seen) return;
    this.#seen = runs;
    this.#isLookPlanned = true;
    this.world.agenda.after(1, () => {
      this.#isLookPlanned = false;
      this.#look();
    });
  }

  #lookAgain(): void {
    this.world.agenda.after(lookTicks * tickMs, () => {
      if (this.#isOver) return;
      this.#look();
      this.#lookAgain();
    });
  }

  #look(): void {
    const mesh = this.#isOver || this.host.isPaused() ? null : this.host.mesh();
    if (mesh === null) return;
    const member = memberOf(mesh, this.host.id);
    const runs = member !== undefined && isLive(member) ? mesh.runs : [];
    const around = surroundingsOf(mesh);
    this.#take({ kind: "look", runs, around, nowMs: this.world.agenda.nowMs });
  }

  /** What the worker says; a process that stands still hears it later. */
  #hear(input: ParticipantInput): void {
    if (this.#isOver) return;
    if (!this.host.isPaused()) return this.#take(input);
    this.world.agenda.after(tickMs, () => this.#hear(input));
  }

  #take(input: ParticipantInput): void {
    for (const effect of this.#participant.step(input)) {
      if (effect.kind === "begin") this.#worker.begin(effect.key, effect.job);
      else if (effect.kind === "say") this.#say(effect);
      else {
        this.world.probes.add("work-cancelled");
        this.#worker.cancel(effect.key);
      }
    }
  }

  #say(effect: Say): void {
    const { id } = this.host;
    const { run, said, ticket } = effect;
    const { previous, anchor } = this.#withFlaw(effect);
    const mesh = this.host.mesh()!.mesh;
    const unsigned = { mesh, run, node: id, previous, anchor, said };
    const statement = signStatement(signingKeyOf(id), unsigned);
    this.shared.signed(statement);
    const command = { kind: "run-stated", node: id, statement } as const;
    const asked = { author: id, scope: "self", policy: null, command } as const;
    this.host.ask(asked, sayTicks, (outcome) => {
      const refused = outcome.kind === "done" ? null : codeOf(outcome);
      this.#hear({ kind: "said", ticket, refused });
    });
  }

  #withFlaw({ run, previous, anchor }: Say): Pick<Say, "previous" | "anchor"> {
    const { flaw } = this.world;
    const named = this.#named.get(run) ?? { last: previous, before: null };
    const { last, before } =
      named.last === previous ? named : { last: previous, before: named.last };
    this.#named.set(run, { last, before });
    // Said once more, it is no better.
    if (flaw === "previous-of-before") return { previous: before, anchor };
    if (flaw === "anchor-made-up") return { previous, anchor: anchor && digestJson([anchor]) };
    return { previous, anchor };
  }
}

function codeOf(outcome: AskOutcome): string {
  return outcome.kind === "denied" ? outcome.code : outcome.kind;
}
