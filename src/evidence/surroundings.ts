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
  for (const there of thoseThere(record, before, [...keys.keys()]))
    yield {
      ...{ mesh, nowMs: record.atMs, term: record.term },
      members: [...keys].map(([node, history]): RunMember => {
        const as = there.get(node);
        const key = (node === signer?.node ? signer.key : null) ?? history.keys.at(-1)!.key;
        const able = { isReady: as !== undefined, isValidator: as !== "bystander" };
        return { node, key, ...able, isTrainer: true, isHost: true };
      }),
    };
}

/** Who is ready, and whether it may be drawn to judge. */
type There = ReadonlyMap<string, "validator" | "bystander">;

/** Nodes about each of whom it is tried out how it stood. */
const fewMaximum = 7;

const all = (nodes: Iterable<string>): There =>
  new Map([...nodes].map((node) => [node, "validator"] as const));

/** Who may have been there so that just this was decided; the first that leads to it is taken. */
function thoseThere(
  record: RunRecord,
  before: Run | null,
  nodes: readonly string[],
): Iterable<There> {
  const { command, decided, author } = record;
  const said = (decided ?? {}) as { readonly tasks?: unknown; readonly draws?: unknown };
  if (command.kind === "window-opened" && Array.isArray(said.tasks))
    return [all((said.tasks as Task[]).map(({ worker }) => worker))];
  if (command.kind === "run-stated" && command.statement.said.saying === "revision") {
    // Fewer than the quorum suffice where nobody else is there who could state it.
    const stated = before?.window?.computed.map(({ node }) => node) ?? [];
    return [all(nodes), all([...stated, author])];
  }
  if (!Array.isArray(said.draws)) return [all(nodes)];
  const draws = said.draws as Draw[];
  if (command.kind === "window-sealed") return [all(drawnIn(draws))];
  return command.kind === "validators-redrawn" ? redrawn(draws, before) : [all(nodes)];
}

const drawnIn = (draws: readonly Draw[]) => new Set(draws.flatMap(({ validators }) => validators));

/**
 * Whoever came new was ready to judge. Of those who were drawn before it has to be tried out: one may have gone, or be
 * there and judge no more.
 */
function* redrawn(draws: readonly Draw[], before: Run | null): Generator<There> {
  const earlier = before?.window?.draws ?? [];
  const isNew = ({ worker }: Draw, node: string) =>
    !earlier.some((each) => each.worker === worker && each.validators.includes(node));
  const fresh = new Set(
    draws.flatMap((draw) => draw.validators.filter((node) => isNew(draw, node))),
  );
  const open = [...drawnIn(draws)].filter((node) => !fresh.has(node));
  for (const stands of waysOf(open.length)) {
    const there = new Map(all(fresh));
    for (const [place, node] of open.entries()) {
      const as = stands(place);
      if (as !== undefined) there.set(node, as);
    }
    yield there;
  }
}

type Stands = (place: number) => "validator" | "bystander" | undefined;

/** All ways in which a few may stand; of more, that all do, none, or all but one or two. */
function* waysOf(count: number): Generator<Stands> {
  const as = ["validator", undefined, "bystander"] as const;
  if (count <= fewMaximum) {
    for (let way = 0; way < 3 ** count; way++)
      yield (place) => as[Math.floor(way / 3 ** place) % 3];
    return;
  }
  yield () => "validator";
  yield () => undefined;
  for (let first = 0; first < count; first++)
    for (let second = first; second < count; second++)
      for (const other of [undefined, "bystander"] as const)
        yield (place) => (place === first || place === second ? other : "validator");
}
