import { basename } from "node:path";
import type { Services } from "#src/command/define.ts";
import { verifyArchive } from "#src/receipt/bundle-file.ts";
import { ReceiptArchive } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RunStore, type Run } from "#src/train/run-store.ts";
import { digestRun } from "#src/validate/digest-run.ts";
import type { VerifiedRun } from "./verified.ts";

/** Receipts of one run that are looked through for the one that names a state. */
const receiptMaximum = 10_000;

/**
 * Verifies a run of this home as far as the home tells: every byte of its newest state against its digest, this node's
 * chain of receipts, and whether one of them names that state. `path` is what was named and is no file; its last
 * part may be a run's name. Refusals: `not_found`; those of `digest` and of receipts.
 */
export async function verifyRun(path: string, services: Services): Promise<VerifiedRun> {
  const runs = new RunStore(services.store);
  const run = resolveRun(runs, path);
  const state = await digestRun(run, runs, services, undefined);
  const archive = new ReceiptArchive(services.store);
  const { nodeId, rotations } = await services.identity.open();
  const chain = verifyArchive(archive, nodeId, rotations);
  const named = archive
    .list({ author: nodeId, subject: run.id, limit: receiptMaximum })
    .find(({ receipt: { body } }) => [body["stateDigest"], body["digest"]].includes(state.digest));
  return {
    ...{ of: "run", isValid: true, run: run.id, name: run.name },
    ...{ step: state.step, digest: state.digest },
    ...{ receipts: chain?.count ?? 0, head: chain?.head ?? null, receipt: named?.digest ?? null },
  };
}

function resolveRun(runs: RunStore, path: string): Run {
  try {
    return runs.resolve(basename(path));
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "run_not_found") throw error;
    throw new Refusal(
      "not_found",
      `${path} does not exist, and no run of this home is called ${basename(path)}`,
      "name a bundle that `psionic run evidence` wrote, or a run that `psionic runs` shows",
      { path },
    );
  }
}
