import type { Entry } from "#src/log/entry.ts";
import type { Payload } from "#src/log/fold.ts";
import type { Event } from "#src/cluster/event.ts";
import { MeshFold, type MeshResult } from "#src/cluster/mesh-fold.ts";
import { isOfMesh } from "./application.ts";
import type { Count } from "./count.ts";
import type { Asks } from "./asks.ts";
import { accountText, appended, emptyAccount, type Account } from "./ledger.ts";
import { probeMesh } from "./mesh-probes.ts";
import type { ProbeName } from "./probes.ts";
import { RunProbes } from "./run-probes.ts";

/**
 * What the committed log means, worked out a second time and in another way than the product does: by
 * looking back over the whole log. Checkers compare the nodes' answers with it. The mesh alone is folded
 * by the product's own reducers, without planted mistakes; its promises are checked apart from that.
 */
export class Reference {
  /** For each key what it was from an index on, ascending. */
  readonly #accounts = new Map<string, { readonly index: number; readonly account: Account }[]>();
  /** Where each command was first applied and what that gave, by session and number. */
  readonly #effects = new Map<string, { readonly index: number; readonly result: string }>();
  readonly #sessions: { readonly id: number; number: number; usedAt: number }[] = [];

  /** The mesh at the end of the committed log. */
  readonly mesh = new MeshFold();
  readonly #runs: RunProbes;

  constructor(
    readonly sessionMaximum: number,
    readonly probes: Count<ProbeName>,
    readonly asks: Asks,
    meshText: string,
  ) {
    this.mesh.load(meshText);
    this.#runs = new RunProbes(probes);
  }

  /** Takes the next committed entry. True where it is a command that was applied before. */
  commit(entry: Entry): boolean {
    if (entry.kind !== "event") return false;
    const payload = JSON.parse(entry.payload) as Payload;
    const sessions = this.#sessions;
    if (payload.kind === "open") {
      sessions.push({ id: entry.index, number: 0, usedAt: entry.index });
      if (sessions.length <= this.sessionMaximum) return false;
      const oldest = sessions.reduce((a, b) => (b.usedAt < a.usedAt ? b : a));
      sessions.splice(sessions.indexOf(oldest), 1);
      return false;
    }
    const session = sessions.find(({ id }) => id === payload.session);
    if (session === undefined) return false;
    if (payload.number <= session.number) return true;
    if (payload.number > session.number + 1) return false;
    session.number = payload.number;
    session.usedAt = entry.index;
    const result = isOfMesh(payload.body)
      ? this.#meshResult(payload.body, entry.index)
      : this.#ledgerResult(payload.body, entry.index);
    this.#effects.set(`${payload.session}:${payload.number}`, { index: entry.index, result });
    return false;
  }

  #meshResult(body: string, index: number): string {
    const before = this.mesh.mesh;
    const text = this.mesh.apply(body);
    const event = JSON.parse(body) as Event;
    const result = JSON.parse(text) as MeshResult;
    probeMesh(this.probes, before, event, result);
    this.#runs.committed(before, this.mesh.mesh, event, result);
    this.asks.committed(event, index, result);
    return text;
  }

  #ledgerResult(body: string, index: number): string {
    const [key, value] = body.split(" ") as [string, string];
    const account = appended(this.#at(key, Infinity), Number(value));
    const known = this.#accounts.get(key);
    if (known === undefined) this.#accounts.set(key, [{ index, account }]);
    else known.push({ index, account });
    return accountText(account);
  }

  /** Where a command was applied, if it was. */
  effectOf(session: number, number: number) {
    return this.#effects.get(`${session}:${number}`);
  }

  /** What a read at an index must give. */
  read(key: string, index: number): string {
    return accountText(this.#at(key, index));
  }

  #at(key: string, index: number): Account {
    const known = this.#accounts.get(key)?.findLast((each) => each.index <= index);
    return known?.account ?? emptyAccount;
  }
}
