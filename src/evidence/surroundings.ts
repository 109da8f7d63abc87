import type { KeyHistory } from "#src/receipt/rotation.ts";
import type { Draw, Run, Task } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import type { RunMember, Surroundings } from "#src/window/surroundings.ts";

/**
 * What of the mesh decided about an event. A bundle does not hold the mesh's state: who was ready follows from what was
 * decided, since nobody is given work, or a contribution to judge, who was not, and the rules come to the same for
 * these alone as for all. What that cannot show is that others were ready too and were passed over.
 */
export function* surroundingsFor(
  record: RunRecord,
  before: Run | null,
  mesh: string,
  keys: ReadonlyMap<string, KeyHistory>,
  /** Whoever signed the event's statement, with the key that it holds under. */
  signer: { readonly node: string; readonly key: string } | null,
): Generator<Surroundings> {
  for (const ready of readyOf(record, before, [...keys.keys()]))
    yield {
      ...{ mesh, nowMs: record.atMs, term: record.term },
      members: [...keys].map(([node, history]): RunMember => {
        const isReady = ready.has(node);
        const key = (node === signer?.node ? signer.key : null) ?? history.keys.at(-1)!.key;
        return { node, key, isReady, isTrainer: true, isValidator: true, isHost: true };
      }),
    };
}

type Ready = ReadonlySet<string>;

/** Members about whom it is tried out whether they were ready; beyond, only all of them and none. */
const openMaximum = 10;

/** Sets of ready members that may have led to what was decided; the first that does is taken. */
function readyOf(record: RunRecord, before: Run | null, all: readonly string[]): Iterable<Ready> {
  const { command, decided, author } = record;
  const said = (decided ?? {}) as { readonly tasks?: unknown; readonly draws?: unknown };
  if (command.kind === "window-opened" && Array.isArray(said.tasks))
    return [new Set((said.tasks as Task[]).map(({ worker }) => worker))];
  if (command.kind === "run-stated" && command.statement.said.saying === "revision") {
    // Fewer than the quorum suffice where nobody else is there who could state it.
    const stated = before?.window?.computed.map(({ node }) => node) ?? [];
    return [new Set(all), new Set([...stated, author])];
  }
  if (!Array.isArray(said.draws)) return [new Set(all)];
  const draws = said.draws as Draw[];
  const drawn = new Set(draws.flatMap(({ validators }) => validators));
  if (command.kind === "window-sealed") return [drawn];
  return command.kind === "validators-redrawn" ? redrawn(draws, drawn, before) : [new Set(all)];
}

/** Whoever came new was ready; of those who were drawn before it has to be tried out. */
function* redrawn(draws: readonly Draw[], drawn: Ready, before: Run | null): Generator<Ready> {
  const earlier = before?.window?.draws ?? [];
  const isNew = ({ worker }: Draw, node: string) =>
    !earlier.some((each) => each.worker === worker && each.validators.includes(node));
  const fresh = new Set(
    draws.flatMap((draw) => draw.validators.filter((node) => isNew(draw, node))),
  );
  const open = [...drawn].filter((node) => !fresh.has(node));
  yield drawn;
  yield fresh;
  if (open.length > openMaximum) return;
  for (let chosen = 1; chosen < 2 ** open.length - 1; chosen++)
    yield new Set([...fresh, ...open.filter((_, place) => (chosen >> place) & 1)]);
}
