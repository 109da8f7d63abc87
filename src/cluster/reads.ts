import { patienceMaximum, queueMaximum, retryTicks, type Leader } from "./lanes.ts";
import type { NodeOutcome } from "./node-message.ts";

export type SyncOutcome =
  | { readonly kind: "synced"; readonly index: number }
  | { readonly kind: "leaderless" }
  | { readonly kind: "busy" };

const noAnswers: readonly never[] = [];

interface Waiting {
  readonly id: number;
  readonly endTick: number;
}

/**
 * A node's questions how far its state must go to hold everything that was acknowledged before (Ongaro 2014,
 * 6.4). One question to the leader is under way at a time, for all who asked before it left; who asks later
 * waits for the next.
 */
export class Reads {
  #waiting: Waiting[] = [];
  #under: {
    readonly ticket: number;
    readonly leader: Leader;
    readonly tick: number;
    readonly for: readonly Waiting[];
  } | null = null;
  /** Those whose index is known and not applied yet. */
  #due: (Waiting & { readonly index: number })[] = [];
  #answers: (readonly [id: number, outcome: SyncOutcome])[] = [];
  #tick = 0;
  #nextTick = 0;

  constructor(
    readonly silenceTicks: number,
    readonly nextTicket: () => number,
  ) {}

  get count(): number {
    return this.#waiting.length + this.#due.length + (this.#under?.for.length ?? 0);
  }

  tick(): void {
    this.#tick++;
  }

  ask(id: number, patienceTicks: number): void {
    if (this.count >= queueMaximum) return void this.#answers.push([id, { kind: "busy" }]);
    this.#waiting.push({ id, endTick: this.#tick + Math.min(patienceTicks, patienceMaximum) });
  }

  /** What is to be asked now, and of whom; null for nothing. */
  attempt(leader: Leader | null): { readonly ticket: number; readonly to: string } | null {
    if (this.count === 0) return null;
    this.#endOverdue();
    const { leader: asked, tick } = this.#under ?? {};
    const isOther = asked?.id !== leader?.id || asked?.term !== leader?.term;
    if (this.#under !== null && (isOther || this.#tick - tick! >= this.silenceTicks))
      this.#takeBack(this.#tick);
    const isTime = this.#under === null && this.#tick >= this.#nextTick;
    if (leader === null || !isTime || this.#waiting.length === 0) return null;
    const ticket = this.nextTicket();
    this.#under = { ticket, leader, tick: this.#tick, for: this.#waiting };
    this.#waiting = [];
    return { ticket, to: leader.id };
  }

  #takeBack(nextTick: number): void {
    this.#waiting = [...this.#under!.for, ...this.#waiting];
    this.#under = null;
    this.#nextTick = nextTick;
  }

  #endOverdue(): void {
    const isOver = ({ endTick }: Waiting) => this.#tick >= endTick;
    const over = [...this.#due, ...(this.#under?.for ?? []), ...this.#waiting].filter(isOver);
    if (over.length === 0) return;
    for (const { id } of over) this.#answers.push([id, { kind: "leaderless" }]);
    const rest = <T extends Waiting>(list: readonly T[]) => list.filter((each) => !isOver(each));
    this.#due = rest(this.#due);
    this.#waiting = rest(this.#waiting);
    if (this.#under !== null) this.#under = { ...this.#under, for: rest(this.#under.for) };
  }

  outcome(from: string, ticket: number, outcome: NodeOutcome): void {
    const under = this.#under;
    if (under === null || under.ticket !== ticket || under.leader.id !== from) return;
    if (outcome.kind !== "done") return this.#takeBack(this.#tick + retryTicks);
    this.#under = null;
    this.#due.push(...under.for.map((each) => ({ ...each, index: outcome.index })));
  }

  /** Answers of all whose index the state has reached. */
  takeAnswers(appliedIndex: number): readonly (readonly [id: number, outcome: SyncOutcome])[] {
    if (this.#answers.length + this.#due.length === 0) return noAnswers;
    const answers = this.#answers;
    this.#answers = [];
    const isReached = ({ index }: { readonly index: number }) => index <= appliedIndex;
    for (const { id } of this.#due.filter(isReached))
      answers.push([id, { kind: "synced", index: appliedIndex }]);
    this.#due = this.#due.filter((each) => !isReached(each));
    return answers;
  }
}
