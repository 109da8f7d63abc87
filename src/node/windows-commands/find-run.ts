/** The run a person means, whether the mesh works on it, this machine alone has it, or both know of it. */
import type { Services } from "#src/command/define.ts";
import type { ClusterService } from "#src/cluster/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RunStore, type Run as LocalRun } from "#src/train/run-store.ts";
import type { Run } from "#src/window/run.ts";

export interface FoundRun {
  readonly run: string;
  readonly name: string;
  /** As the mesh has it; null for a run of this machine, and outside of a daemon. */
  readonly mesh: Run | null;
  /** As this machine recorded it; null where it took no part yet. */
  readonly local: LocalRun | null;
}

type Sources = Pick<Services, "store" | "cluster">;

/** Runs of the mesh, oldest first; none outside of a daemon. */
export function runsOf(cluster: Pick<ClusterService, "state"> | null): readonly Run[] {
  return cluster === null ? [] : cluster.state().runs;
}

/**
 * Finds a run by `latest`, an id, a name, or the beginning of either. A name of both kinds means the mesh's.
 * Refused with `run_not_found` and `run_ambiguous`.
 */
export function findRun(text: string, { store, cluster }: Sources): FoundRun {
  const runs = runsOf(cluster);
  const locals = new RunStore(store);
  const isExact = ({ id, name }: { readonly id: string; readonly name: string }) =>
    id === text || name === text;
  const known = new Map(runs.map((run) => [run.run, run]));
  const localOf = (run: Run): FoundRun => ({
    ...{ run: run.run, name: run.name, mesh: run },
    local: attempt(() => locals.byId(run.run)),
  });
  const meshOf = (local: LocalRun): FoundRun => {
    const mesh = known.get(local.id) ?? null;
    return { run: local.id, name: local.name, mesh, local };
  };
  if (text === "latest") return latest(runs, locals, { localOf, meshOf });
  const exact = runs.find(({ run: id, name }) => isExact({ id, name }));
  if (exact !== undefined) return localOf(exact);
  const begun = runs.filter(({ run, name }) => run.startsWith(text) || name.startsWith(text));
  if (begun.length === 0 || text === "") return meshOf(locals.resolve(text));
  const local = attempt(() => locals.resolve(text));
  if (local !== null && isExact(local)) return meshOf(local);
  const others = local === null || known.has(local.id) ? [] : [local];
  const names = [...begun, ...others].map((each) => each.name);
  if (names.length === 1) return localOf(begun[0]!);
  throw new Refusal(
    "run_ambiguous",
    `"${text}" fits several runs: ${names.slice(0, 8).join(", ")}.`,
    "Give more characters.",
    { run: text, runs: names },
  );
}

function latest(
  runs: readonly Run[],
  locals: RunStore,
  { localOf, meshOf }: { localOf(run: Run): FoundRun; meshOf(local: LocalRun): FoundRun },
): FoundRun {
  const [local] = locals.newest(1);
  const mesh = runs.toSorted((a, b) => a.createdMs - b.createdMs).at(-1);
  if (mesh === undefined) return meshOf(local ?? locals.resolve("latest"));
  return local === undefined || local.createdMs <= mesh.createdMs ? localOf(mesh) : meshOf(local);
}

/** Null where nothing fits; what fits several is refused. */
function attempt(find: () => LocalRun): LocalRun | null {
  try {
    return find();
  } catch (error) {
    if (error instanceof Refusal && error.code === "run_not_found") return null;
    throw error;
  }
}
