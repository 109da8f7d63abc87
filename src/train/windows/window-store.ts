/**
 * Where a worker keeps its windows: `windows/<n>` of the run's directory with the states it committed to, the
 * contribution made of them and its result; `private` with what it goes on with. All of it may be lost: then the work is
 * done again, or begins from zeros.
 */
import * as v from "valibot";
import type { Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { localWorkSchema, resultSchema, segmentMaximum } from "./tasks.ts";

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

const progressSchema = v.strictObject({
  format: v.literal("psionic-window-progress/1"),
  work: localWorkSchema,
  /** Of the work with its revision. */
  workDigest: digest,
  revision: digest,
  /** What the worker may start from, as the task had it. */
  private: v.nullable(digest),
  /** The commitments so far, the first state included. */
  commits: v.pipe(
    v.array(v.strictObject({ digest, parameters: digest, moments: digest, trainMs: amount })),
    v.maxLength(segmentMaximum + 1),
  ),
  /** Updates since the moments were zero, and what the codec had yet to send, at the start. */
  start: v.nullable(v.strictObject({ age: natural, residual: v.nullable(digest) })),
  /** What was answered; null while there is work left. Its directory is of no weight: a home may move. */
  result: v.nullable(resultSchema),
});
export type WindowProgress = v.InferOutput<typeof progressSchema>;
export type Commit = WindowProgress["commits"][number];

const paceSchema = v.strictObject({
  /** What was measured: plan, backend and threads. */
  of: v.string(),
  tokensPerSecond: v.pipe(amount, v.minValue(1)),
});

export function windowDirectory(run: string, window: number): string {
  return `${run}/windows/${window}`;
}

export function stateDirectory(run: string, window: number, index: number): string {
  return `${windowDirectory(run, window)}/states/${String(index).padStart(3, "0")}`;
}

export function contributionDirectory(run: string, window: number): string {
  return `${windowDirectory(run, window)}/contribution`;
}

/** Where the private state of a digest lies. */
export function privateDirectory(run: string, state: Digest): string {
  return `${run}/private/${state}`;
}

/** What is known of a window's work here; null where nothing is, or nothing that can be read. */
export async function readProgress(
  disk: Disk,
  run: string,
  window: number,
): Promise<WindowProgress | null> {
  return await readJson(disk, `${windowDirectory(run, window)}/progress.json`, progressSchema);
}

export async function writeProgress(
  disk: Disk,
  run: string,
  progress: WindowProgress,
): Promise<void> {
  const directory = windowDirectory(run, progress.work.window);
  await disk.publish(`${directory}/progress.json`, `${JSON.stringify(progress)}\n`);
}

/** Tokens per second as this machine last took steps of this plan; null where it never did. */
export async function readPace(disk: Disk, run: string, of: string): Promise<number | null> {
  const pace = await readJson(disk, `${run}/pace.json`, paceSchema);
  return pace?.of === of ? pace.tokensPerSecond : null;
}

export async function writePace(
  disk: Disk,
  run: string,
  pace: v.InferOutput<typeof paceSchema>,
): Promise<void> {
  await disk.publish(`${run}/pace.json`, `${JSON.stringify(pace)}\n`);
}

/** The directory of a state that was kept; null where it has to be computed again. It is not verified. */
export async function keptState(
  disk: Disk,
  run: string,
  window: number,
  index: number,
): Promise<string | null> {
  const directory = stateDirectory(run, window, index);
  return (await disk.stat(directory)) === null ? null : directory;
}

/** Removes what is kept of windows before one; nobody asks for them any more. */
export async function discardWindows(disk: Disk, run: string, before: number): Promise<void> {
  for (const { name } of await disk.list(`${run}/windows`))
    if (/^\d+$/.test(name) && Number(name) < before) await disk.remove(`${run}/windows/${name}`);
}

/**
 * Private states beside the named ones that are kept while a run goes on. A node that was killed may know less of the run
 * for a moment than it did before, and so not name the state that its next window begins from.
 */
export const sparePrivateCount = 3;

/** Keeps these private states, and so many of the newest others. */
export async function keepPrivate(
  disk: Disk,
  run: string,
  digests: readonly (Digest | null)[],
  spareCount: number = sparePrivateCount,
): Promise<void> {
  const others = (await disk.list(`${run}/private`)).filter(({ name }) => !digests.includes(name));
  const oldestLast = others.toSorted((a, b) => b.modifiedMs - a.modifiedMs);
  for (const { name } of oldestLast.slice(spareCount)) await disk.remove(`${run}/private/${name}`);
}

async function readJson<Schema extends v.GenericSchema>(
  disk: Disk,
  path: string,
  schema: Schema,
): Promise<v.InferOutput<Schema> | null> {
  const entry = await disk.stat(path);
  if (entry === null || entry.kind !== "file") return null;
  try {
    const parsed = v.safeParse(schema, JSON.parse(await disk.readText(path)));
    return parsed.success ? parsed.output : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
