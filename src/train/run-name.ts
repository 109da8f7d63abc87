import { Refusal } from "#src/refusal/refusal.ts";

/** Words that already mean something where a run is named: the newest run, and a bare `--resume`. */
const reservedNames: readonly string[] = ["latest", "true", "false"];

/** What a file's name gives to a run's name, at most: room is left for a number. */
const stemLengthMaximum = 40;

/**
 * The name of a new run: the given one when it is free, else one after the first file, numbered when
 * it is taken. Refuses with `run_name_taken` and, for a word that means something else, `usage`.
 */
export function runName(
  { name, files }: { readonly name?: string | undefined; readonly files: readonly string[] },
  isTaken: (name: string) => boolean,
): string {
  if (name === undefined) return nameAfter(files[0] ?? "addition", isTaken);
  if (reservedNames.includes(name))
    throw new Refusal(
      "usage",
      `No run can be called ${name}: the word means something else where a run is named.`,
      "Choose another --name.",
      { name },
    );
  if (isTaken(name))
    throw new Refusal(
      "run_name_taken",
      `There is a run called ${name} already.`,
      `Choose another --name, or go on with it: \`psionic train --resume ${name}\`.`,
      { name },
    );
  return name;
}

function nameAfter(file: string, isTaken: (name: string) => boolean): string {
  const stem = file
    .replace(/\/+$/, "")
    .split("/")
    .pop()!
    .replace(/\.[^.]*$/, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, stemLengthMaximum);
  const base = stem === "" ? "run" : stem;
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? base : `${base}-${number}`;
    if (!reservedNames.includes(candidate) && !isTaken(candidate)) return candidate;
  }
}
