import * as v from "valibot";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { ClusterService } from "./services.ts";

/** What a member answers to `cluster/digest`. */
export const digestAnswer = v.strictObject({
  mesh: v.string(),
  node: v.string(),
  index: v.number(),
  digest: v.string(),
});

/** What one member said of an index; `unknown` where it could not be asked or could not tell. */
export interface Comparison {
  readonly node: string;
  readonly outcome: "equal" | "differs" | "unknown";
  readonly digest: string | null;
  /** Why it is unknown: a refusal's code and message. */
  readonly reason: string | null;
}

/** Members asked at once; the rest wait, so that a mesh of a thousand is no burst of connections. */
const atOnce = 8;

/** Asks every other member that is not gone for its digest at an index and compares. */
export async function compareMembers(
  cluster: ClusterService,
  { index, digest }: { readonly index: number; readonly digest: Digest },
  signal: AbortSignal,
): Promise<readonly Comparison[]> {
  const { node: self } = cluster.standing();
  const others = cluster
    .state()
    .members.filter(({ node, standing }) => node !== self && isThere(standing))
    .map(({ node }) => node);
  const found: Comparison[] = [];
  const waiting = [...others];
  const worker = async () => {
    for (let node = waiting.shift(); node !== undefined; node = waiting.shift())
      found.push(await askOne(cluster, node, { index, digest }, signal));
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, others.length) }, worker));
  return others.map((node) => found.find((each) => each.node === node)!);
}

const isThere = (standing: string) => standing === "ready" || standing === "draining";

async function askOne(
  cluster: ClusterService,
  node: string,
  own: { readonly index: number; readonly digest: Digest },
  signal: AbortSignal,
): Promise<Comparison> {
  try {
    const answer = await cluster.ask(node, "cluster/digest", { index: own.index }, signal);
    const parsed = v.safeParse(digestAnswer, answer);
    if (!parsed.success || parsed.output.index !== own.index)
      return { node, outcome: "unknown", digest: null, reason: "it answered something else" };
    const { digest } = parsed.output;
    const outcome = digest === own.digest ? "equal" : "differs";
    return { node, outcome, digest, reason: null };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refusal)) throw error;
    const reason = `${error.code}: ${error.message}`;
    return { node, outcome: "unknown", digest: null, reason };
  }
}
