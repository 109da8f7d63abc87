import { brokenState, brokenStep } from "#src/cluster/invariants.ts";
import { MeshFold, type Reduce } from "#src/cluster/mesh-fold.ts";
import { reduce } from "#src/cluster/reduce.ts";
import type { ClusterMeaning } from "#src/cluster/node.ts";
import type { Event } from "#src/cluster/event.ts";
import type { MeshState } from "#src/cluster/state.ts";
import { ensure } from "./failure.ts";
import { keys, Ledger } from "./ledger.ts";
import type { RunChecks } from "./run-checks.ts";

/** Whether a command is one of the mesh; the others are the ledger's. */
export function isOfMesh(body: string): boolean {
  return body.startsWith("{");
}

/** A mesh's command as the leader writes it down: with the time and term in which it took it. */
export function stamped(body: string, timeMs: number, term: number): string {
  return isOfMesh(body) ? JSON.stringify({ ...JSON.parse(body), timeMs, term }) : body;
}

/**
 * What simulated nodes keep: the state of a mesh, as real ones do, and beside it a ledger whose values
 * show every command that was lost, repeated or swapped. After every event of the mesh its promises are
 * checked, in every node.
 */
export class Application implements ClusterMeaning {
  readonly #ledger = new Ledger();
  readonly #mesh: MeshFold;

  constructor(
    readonly node: string,
    work: Reduce = reduce,
    readonly runs: RunChecks | null = null,
  ) {
    this.#mesh = new MeshFold(work);
  }

  get mesh(): MeshState {
    return this.#mesh.mesh;
  }

  apply(body: string): string {
    if (!isOfMesh(body)) return this.#ledger.apply(body);
    const before = this.#mesh.mesh;
    const result = this.#mesh.apply(body);
    const after = this.#mesh.mesh;
    const broken = brokenStep(before, after) ?? brokenState(after);
    ensure(broken === null, "mesh-holds", () => `${this.node}: ${broken}`);
    if (before.runs !== after.runs) this.runs?.stepped(before, after, JSON.parse(body) as Event);
    return result;
  }

  ask(question: string): string {
    return keys.some((key) => key === question)
      ? this.#ledger.ask(question)
      : this.#mesh.ask(question);
  }

  save(): string {
    return `${this.#ledger.save()}\n${this.#mesh.save()}`;
  }

  loadMesh(text: string): void {
    this.#mesh.load(text);
  }

  accepts(text: string): boolean {
    const [, mesh, ...more] = text.split("\n");
    return mesh !== undefined && more.length === 0 && this.#mesh.accepts(mesh);
  }

  load(text: string): void {
    const [ledger, mesh] = text.split("\n") as [string, string];
    this.#ledger.load(ledger);
    this.#mesh.load(mesh);
  }
}
