import { entry, type CodeEntry } from "./entry.ts";

/** Bundles of a run's evidence. */
export const evidenceCodes = {
  evidence_damaged: entry(
    13,
    422,
    false,
    "A bundle of evidence is not what its exporter wrote: bytes changed, are missing or were added. The part where it was found is named. Get the file again.",
  ),
  evidence_broken: entry(
    13,
    422,
    false,
    "What a bundle of evidence says does not follow from the rest of it: a signature, a chain, a count, a quorum or the digest of a revision. The first link that does not hold is named. Nothing after it is proven.",
  ),
  evidence_differs: entry(
    13,
    422,
    false,
    "Recomputing a segment of the run gave another state than its worker committed to. The window, the worker and the segment are named.",
  ),
  evidence_incomplete: entry(
    14,
    409,
    true,
    "The evidence of the run cannot be put together here: events or artifacts of it are missing and no member that was asked has them. Ask again once more members are there, or export it on another.",
  ),
  evidence_too_large: entry(
    14,
    422,
    false,
    "The run has more events and contributions than one bundle of evidence holds. Longer windows make fewer of both.",
  ),
  evidence_unreachable: entry(
    14,
    422,
    false,
    "No segment of the bundle can be recomputed within the budget of steps. Raise it with --steps, or replay all with --full.",
  ),
} satisfies Record<string, CodeEntry>;
