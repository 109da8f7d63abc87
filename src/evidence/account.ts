import type { VerifiedBundle } from "./verify-bundle.ts";
import type { VerifiedBundleFigures } from "./verified.ts";

/** What a verified bundle proves and what it does not, in figures and in words. */
export function account(
  verified: VerifiedBundle,
): Omit<VerifiedBundleFigures, "of" | "isValid" | "file" | "seed"> {
  const { contents, facts, numbers, backend } = verified;
  const { bundle, header } = contents;
  const { run, spec } = facts;
  return {
    ...{ sizeBytes: bundle.sizeBytes, parts: bundle.parts.length, author: bundle.footer.author },
    ...{ mesh: header.mesh, run: run.run, name: run.name, phase: run.phase, chain: run.chain },
    ...{ records: header.records, statements: facts.statements, nodes: header.members.length },
    ...{ windows: facts.windows.length, vouchers: facts.vouchers },
    ...{ vouchedRecords: facts.vouchedRecords, slots: spec.slots },
    ...{ acceptedSlots: run.acceptedSlots, tokens: run.acceptedSlots * spec.slotTokens },
    ...{ verdicts: facts.verdicts, rejections: facts.rejections, judgedSegments: facts.replays },
    ...{ missing: header.missing.length, revision: run.revision.number, digest: numbers.digest },
    hasRevision: numbers.hasRevision,
    replayed: numbers.drawn.map(({ window, worker, segment }) => ({ window, worker, segment })),
    ...{ segments: numbers.all, reachable: numbers.reachable },
    ...{ recomputedSteps: numbers.recomputedSteps, backend },
    ...{ proven: provenOf(verified), unproven: unprovenOf(verified) },
  };
}

function provenOf({ contents, facts, numbers }: VerifiedBundle): string[] {
  const { header } = contents;
  return [
    `every byte is what ${contents.bundle.footer.author} exported`,
    `the ${facts.statements} statements are signed by the nodes they name, none left out in between`,
    `work, draws, verdicts and promotions of all ${header.records} events follow from the rules`,
    `${facts.vouchers} nodes vouched with their signatures for events 1 to ${facts.vouchedRecords}`,
    `revisions 0 to ${numbers.revisions - 1} follow from the seed and what counted, bit for bit`,
    ...(numbers.hasRevision ? ["the files of the last revision are those it was computed to"] : []),
    ...(numbers.drawn.length > 0
      ? [`${numbers.drawn.length} of ${numbers.all} segments of work come out the same again`]
      : []),
  ];
}

function unprovenOf({ contents, facts, numbers }: VerifiedBundle): string[] {
  const { header } = contents;
  const beyond = header.records - facts.vouchedRecords;
  const others = numbers.all - numbers.drawn.length;
  const far = numbers.all - numbers.reachable;
  return [
    "when things happened, and who was ready besides those who were given work",
    "where the run's data came from, and the losses that nodes stated",
    ...(facts.leanPromotions > 0
      ? [
          `that nobody else could have stated the ${facts.leanPromotions} revisions that fewer nodes than the quorum of ${facts.spec.quorum} stated`,
        ]
      : []),
    ...(beyond > 0
      ? [`no quorum vouched yet for the last ${beyond} events beside what is signed in them`]
      : []),
    ...(others > 0
      ? [
          `${others} of ${numbers.all} segments were not computed again` +
            (far > 0 ? `, ${far} of them cost more than the budget of steps` : ""),
        ]
      : []),
    ...(header.missing.length > 0
      ? [`${header.missing.length} contributions that did not count could not be had any more`]
      : []),
  ];
}
