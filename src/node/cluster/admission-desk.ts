import type { Services } from "#src/command/define.ts";
import { isProven } from "#src/cluster/admission-proof.ts";
import type { Event } from "#src/cluster/event.ts";
import { memberOf } from "#src/cluster/members.ts";
import { atTimeOf, reduce } from "#src/cluster/reduce.ts";
import type { Admission, Newcomer } from "#src/cluster/services.ts";
import { isLive } from "#src/cluster/state.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RateBound } from "./rate-bound.ts";
import type { ClusterRecords } from "./records.ts";
import type { MeshSession } from "./session.ts";

/** Newcomers that are looked at within `windowMs`: strangers may ask, so it must cost little. */
const askedMaximum = 64;
const windowMs = 10_000;

/**
 * Answers who wants to join. A newcomer is judged against the present state first, so that one who is
 * refused writes nothing into the log; what counts is what the log makes of it.
 */
export class AdmissionDesk {
  readonly #guests = new RateBound(askedMaximum, windowMs);
  /** Of those who show a token that opens the mesh: whoever guesses does not keep them out. */
  readonly #holders = new RateBound(askedMaximum, windowMs);

  constructor(
    readonly parts: {
      readonly services: Services;
      readonly records: ClusterRecords;
      readonly node: string;
      session(): MeshSession;
    },
  ) {}

  /** Refusals: those of admission; `cluster_busy`; those of a mesh that nobody leads. */
  async admit(newcomer: Newcomer, isProbe: boolean, signal: AbortSignal): Promise<Admission> {
    const { services } = this.parts;
    const session = this.parts.session();
    const bound = this.#showsToken(newcomer) ? this.#holders : this.#guests;
    if (!bound.take(services.clock.monotonicMs())) throw tooMany();
    session.refuseOut();
    const command = { kind: "node-admitted" as const, ...newcomer };
    if (!isProbe && this.#isAnsweredBefore(newcomer))
      return this.#admission(session.replica.appliedIndex);
    try {
      this.#judge(command);
      if (isProbe) return this.#admission(session.replica.appliedIndex);
      const { index } = await session.submit("membership", command, signal);
      await session.until(() => session.replica.appliedIndex >= index, windowMs, signal);
      return this.#admission(index);
    } catch (error) {
      // What the log refused gets its receipt when it is applied.
      const isHere = error instanceof Refusal && error.details["index"] === undefined;
      if (isHere && !isProbe) this.#refused(newcomer, error);
      throw error;
    }
  }

  #showsToken(newcomer: Newcomer): boolean {
    const { token, proof } = newcomer;
    const known = this.parts.session().state.tokens.find((each) => each.token === token);
    if (known === undefined || known.isRevoked) return false;
    const isOpen = known.isReusable || known.useCount === 0;
    return isOpen && isProven(known.secret, newcomer, proof);
  }

  /** One whose answer was lost asks again with the same key and token: it is told the same again. */
  #isAnsweredBefore(newcomer: Newcomer): boolean {
    const { mesh, node, key, token, proof } = newcomer;
    const { state } = this.parts.session();
    const member = memberOf(state, node);
    const known = state.tokens.find((each) => each.token === token);
    if (member === undefined || known === undefined || mesh !== state.mesh) return false;
    const isSame = member.key === key && member.token === token;
    const isIn = isSame && isLive(member) && !known.isRevoked;
    return isIn && isProven(known.secret, newcomer, proof);
  }

  /** As the log would judge it now; changes nothing. */
  #judge(command: Event["command"]): void {
    const { services, node } = this.parts;
    const { state } = this.parts.session();
    const event: Event = {
      ...{ author: node, scope: "membership", policy: null, command },
      ...{ timeMs: Math.floor(services.clock.wallMs()), term: state.term },
    };
    reduce(atTimeOf(state, event), event);
  }

  #admission(index: number): Admission {
    const { state, row } = this.parts.session();
    const members = state.members.filter(isLive).map(({ node, contact }) => ({ node, contact }));
    return { mesh: state.mesh, founder: row.founder, index, members };
  }

  #refused({ node, token, mesh }: Newcomer, { code }: Refusal): void {
    const { records } = this.parts;
    const { term } = this.parts.session().state;
    records.refused(node, { mesh, code, token, term, index: 0 });
  }
}

function tooMany(): Refusal {
  return new Refusal(
    "cluster_busy",
    `more than ${askedMaximum} nodes asked to join within ${windowMs / 1000} s`,
    "try again in a few seconds",
    { maximum: askedMaximum },
  );
}
