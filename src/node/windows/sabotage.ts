import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import * as v from "valibot";
import { canonicalText, digestBytes, digestJson } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import {
  commitmentsDigest,
  commitmentsFile,
  commitmentsSchema,
  deltaFile,
  type Commitments,
} from "#src/train/windows/commitments.ts";
import type { Job, Outcome } from "#src/window/job.ts";

const log = getLogger(["psionic", "runs"]);

/** How a node may be made to lie, for demonstrations and tests of those who judge it. */
export const sabotages = ["commitments", "delta"] as const;
export type SabotageKind = (typeof sabotages)[number];

/** Nobody sets this by mistake: the word, and what it is understood to do. */
export const sabotageVariable = "PSIONIC_SABOTAGE";
const understood = "lie-about-my-work";

/** The part of the engine that a lie needs. */
interface Liar {
  readonly artifacts: {
    add(
      location: string,
      keep: { readonly run: string; readonly kind: "contribution"; readonly number: number },
      signal: AbortSignal,
    ): Promise<{ readonly artifact: string; readonly sizeBytes: number }>;
    layOut(run: string, artifact: string, signal: AbortSignal): Promise<string>;
  };
  readonly parts: { readonly services: Pick<Services, "disk" | "home"> };
}

/**
 * Makes this node lie about its work where it was told to by a variable of its environment, which names the lie and
 * says that it is one. Nothing else turns it on, and every lie is said in the log.
 */
export class Sabotage {
  private constructor(
    readonly kind: SabotageKind | null,
    readonly given: string,
  ) {}

  static from(environment: Services["environment"]): Sabotage {
    const given = environment[sabotageVariable] ?? "";
    const [word, oath] = given.split(":", 2);
    const kind = sabotages.find((each) => each === word) ?? null;
    return new Sabotage(oath === understood ? kind : null, given);
  }

  announce(): void {
    if (this.given === "") return;
    if (this.kind === null)
      return log.warning("{variable} is set and has no effect: it is not understood", {
        variable: sabotageVariable,
      });
    log.error("THIS NODE LIES about its work ({kind}), because {variable} says so", {
      ...{ kind: this.kind, variable: sabotageVariable },
    });
  }

  /** What is said instead of the truth; the truth where this node is honest. */
  async apply(job: Job, honest: Outcome, liar: Liar): Promise<Outcome> {
    if (this.kind === null || job.kind !== "train" || honest.kind !== "train") return honest;
    const { signal } = new AbortController();
    const { run } = job.run;
    const { disk, home } = liar.parts.services;
    const source = await liar.artifacts.layOut(run, honest.said.artifact, signal);
    const commitments = v.parse(
      commitmentsSchema,
      JSON.parse(await disk.readText(join(source, commitmentsFile))),
    );
    const delta = new Uint8Array(await disk.readBytes(join(source, deltaFile)));
    const forged = this.kind === "delta" ? spoilt(commitments, delta) : invented(commitments);
    const folder = join(home.runs, run, "lie");
    await disk.remove(folder);
    await disk.makeDirectory(folder);
    await disk.publish(join(folder, deltaFile), delta);
    await disk.publish(join(folder, commitmentsFile), canonicalText(forged));
    const keep = { run, kind: "contribution", number: job.window.number } as const;
    const { artifact, sizeBytes } = await liar.artifacts.add(folder, keep, signal);
    log.error("THIS NODE LIES about window {window} ({kind})", {
      ...{ window: job.window.number, kind: this.kind },
    });
    const said = { ...honest.said, artifact, sizeBytes, commitments: commitmentsDigest(forged) };
    return { kind: "train", said };
  }
}

/** States that no step led to. */
function invented(commitments: Commitments): Commitments {
  const states = commitments.states.map((state, index) =>
    index === 0 ? state : { ...state, parameters: digestJson({ lie: state.parameters }) },
  );
  return { ...commitments, states };
}

/** A delta that the last state does not give: its bytes are changed in place. */
function spoilt(commitments: Commitments, delta: Uint8Array): Commitments {
  const middle = delta.length >> 1;
  delta[middle] = (delta[middle] ?? 0) ^ 1;
  return { ...commitments, delta: digestBytes(delta) };
}
