import type { Disk } from "#src/port/disk.ts";
import { openBundle, readPart } from "./bundle-reader.ts";
import { RecordChecker } from "./check-records.ts";
import { readContents, type BundleContents } from "./contents.ts";
import { readKeys, readRecord } from "./header.ts";
import { linkBroken } from "./parts.ts";
import type { RunFacts } from "./run-facts.ts";

/** A bundle that holds, but for its numbers. */
export interface CheckedBundle {
  readonly contents: BundleContents;
  readonly facts: RunFacts;
}

/**
 * Everything about a bundle that needs no arithmetic: its bytes, keys, signatures, chains, artifacts, and the rules.
 * Refusals: `not_found`, `not_a_file`, `evidence_damaged`, `evidence_broken`.
 */
export async function checkBundle(
  disk: Disk,
  path: string,
  signal: AbortSignal,
): Promise<CheckedBundle> {
  const bundle = await openBundle(disk, path, signal);
  const contents = await readContents(bundle, signal);
  const checker = new RecordChecker(contents.header, readKeys(contents.header));
  for (const [index, part] of contents.records.entries()) {
    if (index % 256 === 0) signal.throwIfAborted();
    checker.add(readRecord(await readPart(bundle, part), index + 1));
  }
  const facts = checker.end();
  checkArtifacts(contents, facts);
  return { contents, facts };
}

/** What counted is there; what is not there is named in the header. */
function checkArtifacts({ header, artifacts }: BundleContents, facts: RunFacts): void {
  const missing = new Set(header.missing);
  if (!artifacts.has(header.document)) throw linkBroken("the document", "it is not in the bundle");
  for (const { number, contributions } of facts.windows)
    for (const { worker, artifact, isAccepted } of contributions) {
      if (artifacts.has(artifact)) continue;
      const link = `the contribution of ${worker} to window ${number}`;
      if (isAccepted) throw linkBroken(link, "it counted and is not in the bundle", { artifact });
      if (!missing.has(artifact)) throw linkBroken(link, "it is not in the bundle", { artifact });
    }
}
