import { Refusal } from "#src/refusal/refusal.ts";

/** The refusal of what only a run of the mesh has, asked of one that this machine trains by itself. */
export function notOfMesh(name: string): Refusal {
  return new Refusal(
    "run_unfit",
    `Run ${name} is of one machine alone: it has no windows, and nobody to pause for.`,
    `\`psionic run status ${name}\` shows how it stands; \`psionic run stop ${name}\` stops it.`,
    { run: name },
  );
}
