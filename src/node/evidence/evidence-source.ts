import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import type { EvidenceSource } from "#src/evidence/export.ts";
import { receiptSchema } from "#src/receipt/parse-receipt.ts";
import { ReceiptArchive } from "#src/receipt/receipt-log.ts";
import { historyEndingIn } from "#src/receipt/rotation.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunService } from "#src/window/services.ts";

/**
 * What this node has of a run and knows of those who took part. Refused with `evidence_incomplete` where events of the
 * run are missing here and on every member that answers.
 */
export async function evidenceSource(
  services: Services,
  meshRuns: RunService,
  run: string,
  signal: AbortSignal,
): Promise<EvidenceSource> {
  const { records, isWhole } = await meshRuns.wholeRecords(run, signal);
  if (!isWhole)
    throw new Refusal(
      "evidence_incomplete",
      `the events of run ${run} are not all here, and no member that answers has the rest`,
      "ask again once more members are there, or export it on one that was there from the start",
      { run, records: records.length },
    );
  const state = services.cluster!.state();
  const authors = new Set(records.map(({ author }) => author));
  const took = state.members.filter(({ node }) => authors.has(node));
  const members = await Promise.all(
    took.map(async ({ node, key }) =>
      firstKeyOf(node, key, await rotationsOf(services, node, key, signal)),
    ),
  );
  return {
    ...{ mesh: state.mesh, records, shelf: await services.artifacts.open() },
    members: members
      .filter((member) => member !== null)
      .toSorted((a, b) => (a.node < b.node ? -1 : 1)),
    fetch: (artifact, from) => meshRuns.fetch(artifact, from, signal),
  };
}

const historyAnswer = v.object({ rotations: v.array(receiptSchema) });

/** How a node came to its present key: as it is known here, else as the node says. None where nobody says. */
async function rotationsOf(
  services: Services,
  node: string,
  key: string,
  signal: AbortSignal,
): Promise<readonly Receipt[]> {
  const own = await services.identity.open();
  if (node === own.nodeId) return own.rotations;
  if (nodeIdOf(key) === node) return [];
  const known = new ReceiptArchive(services.store).rotations(node);
  if (firstKeyOf(node, key, known) !== null) return known;
  try {
    const answer = await services.cluster!.ask(node, "identity/history", {}, signal);
    const parsed = v.safeParse(historyAnswer, answer);
    return parsed.success ? parsed.output.rotations : [];
  } catch (error) {
    if (error instanceof Refusal && !signal.aborted) return [];
    throw error;
  }
}

/** A node's first key and how it led to the present one; null where that is not known here. */
function firstKeyOf(node: string, key: string, rotations: readonly Receipt[]) {
  if (nodeIdOf(key) === node && rotations.length === 0) return { node, key, rotations: [] };
  try {
    const history = historyEndingIn(key, rotations);
    if (history.nodeId !== node) return null;
    return { node, key: history.keys[0]!.key, rotations: [...rotations] };
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}
