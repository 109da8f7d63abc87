/**
 * The state of a worker within a window: parameters, and what is private to it (the optimizer's moments with their
 * age, and what its codec has yet to send). A commitment is the digest over the roots of all of them and the place
 * in the window, so each part can be compared alone.
 */
import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { Plan } from "#src/graph/plan.ts";
import type { Memory } from "#src/kernel/contract.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { elementCount, type Executor, forEachPiece } from "../executor.ts";
import { stateTensors, type TensorRoot } from "../state-digest.ts";
import {
  type NamedBytes,
  namedArray,
  readTensorFile,
  rootsOf,
  writeTensorFile,
  zeroRoot,
} from "./tensor-file.ts";

const digestSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const tensorsFile = "state.safetensors";
export const stateFile = "state.json";
/** A list of roots is small; a file beyond this is none. */
const stateFileMaximumBytes = 16 * 1024 * 1024;

/** What is private to a worker: it stays with it from window to window. */
export interface PrivateParts {
  /** Updates since the moments were zero. */
  readonly age: number;
  readonly moments: Digest;
  /** Of what the codec has yet to send; null for a codec without. */
  readonly residual: Digest | null;
}

export interface StateParts extends PrivateParts {
  readonly parameters: Digest;
}

/** Where in a window a state stands. */
export interface StatePlace {
  readonly window: number;
  /** Digest of the work: slices, steps, schedule. */
  readonly work: Digest;
  /** Local steps taken. */
  readonly step: number;
}

export function privateDigest({ age, moments, residual }: PrivateParts): Digest {
  return digestJson({ version: "psionic-private-state/1", age, moments, residual });
}

/** What a worker commits to. */
export function windowStateDigest({ window, work, step }: StatePlace, parts: StateParts): Digest {
  const { parameters, age, moments, residual } = parts;
  const version = "psionic-window-state/1";
  return digestJson({ version, window, work, step, parameters, age, moments, residual });
}

/** One digest over the roots of several tensors, in order. */
export function digestRoots(roots: readonly TensorRoot[]): Digest {
  return digestJson(roots.map(({ name, shape, root }) => [name, [...shape], root]));
}

const rootSchema = v.strictObject({
  name: v.pipe(v.string(), v.maxLength(1_024)),
  shape: v.pipe(v.array(natural), v.maxLength(8)),
  root: digestSchema,
});
const roots = v.pipe(v.array(rootSchema), v.maxLength(100_000));

const stateSchema = v.strictObject({
  format: v.literal("psionic-window-state/1"),
  planDigest: digestSchema,
  /** Null for a private state, which has no parameters and stands in no window. */
  place: v.nullable(v.strictObject({ window: natural, work: digestSchema, step: natural })),
  age: natural,
  parameters: roots,
  moments: roots,
  residual: roots,
});
type StoredState = v.InferOutput<typeof stateSchema>;

/** The tensors of a state, wherever they lie. */
interface HeldState {
  readonly age: number;
  readonly parameters: readonly NamedBytes[];
  readonly moments: readonly NamedBytes[];
  readonly residual: readonly NamedBytes[];
}

/** The state an executor holds, with what lies beside it. */
export class WorkerState {
  /** Updates since the moments were zero. */
  age = 0;
  readonly #parameters: readonly NamedBytes[];
  readonly #moments: readonly NamedBytes[];
  readonly #residual: readonly NamedBytes[];

  constructor(
    readonly executor: Executor,
    /** What the codec has yet to send; null for a codec without. */
    readonly residual: Float32Array | null,
  ) {
    const tensors = stateTensors(executor.plan).map(({ name, tensor }): NamedBytes => {
      const memory = executor.memory(tensor.space)!;
      return {
        name,
        shape: tensor.shape,
        sizeBytes: elementCount(tensor) * 4,
        view: (offset, length) => memory.view(tensor.offsetBytes + offset, length),
      };
    });
    const { length } = executor.plan.parameters;
    this.#parameters = tensors.slice(0, length);
    this.#moments = tensors.slice(length);
    this.#residual = residual === null ? [] : [namedArray("residual", residual)];
  }

  /** Bytes of all of it: what a copy takes in memory, and a little less than it takes on the disk. */
  get sizeBytes(): number {
    return tensorsOf(this.#held).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Moments and residual as a worker has them that never worked. */
  clearPrivate(): void {
    this.executor.clear("first");
    this.executor.clear("second");
    this.residual?.fill(0);
    this.age = 0;
  }

  async digestParts(): Promise<StateParts> {
    const rootsOfPart = (tensors: readonly NamedBytes[]) =>
      rootsOf(tensors, () => this.executor.breathe());
    return partsOf({
      age: this.age,
      parameters: await rootsOfPart(this.#parameters),
      moments: await rootsOfPart(this.#moments),
      residual: await rootsOfPart(this.#residual),
    });
  }

  /**
   * Writes the whole state into a new directory beside its name and renames it into place, durably. What already
   * lies there gives way.
   */
  async write(disk: Disk, directory: string, place: StatePlace): Promise<StateParts> {
    return await publishState(disk, directory, this.executor.plan.digest, place, this.#held);
  }

  /**
   * Copies the state into memory of at least its size; what is returned writes that copy as `write` does, while the
   * executor goes on with the next steps.
   */
  copy(memory: Pick<Memory, "view">): WorkerState["write"] {
    let end = 0;
    const copied = ({ name, shape, sizeBytes, view }: NamedBytes): NamedBytes => {
      const start = end;
      end += sizeBytes;
      forEachPiece(sizeBytes, (offset, length) =>
        memory.view(start + offset, length).set(view(offset, length)),
      );
      const copy = (offset: number, length: number) => memory.view(start + offset, length);
      return { name, shape, sizeBytes, view: copy };
    };
    const { age, parameters, moments, residual } = this.#held;
    const held: HeldState = {
      age,
      parameters: parameters.map(copied),
      moments: moments.map(copied),
      residual: residual.map(copied),
    };
    return (disk, directory, place) =>
      publishState(disk, directory, this.executor.plan.digest, place, held);
  }

  /** Writes what is private, as the next window begins with it. */
  async writePrivate(disk: Disk, directory: string): Promise<PrivateParts> {
    const held = { ...this.#held, parameters: [] };
    return await publishState(disk, directory, this.executor.plan.digest, null, held);
  }

  /** Reads a whole state. Refuses with `checkpoint_*`; the memory then holds nothing of worth. */
  async read(disk: Disk, directory: string): Promise<{ place: StatePlace; parts: StateParts }> {
    const stored = await this.#readStored(disk, directory);
    const { place, parameters, moments, residual } = stored;
    if (place === null) refuse(`${directory} holds no whole state.`);
    const file = `${directory}/${tensorsFile}`;
    const roots = [...parameters, ...moments, ...residual];
    await readTensorFile(disk, file, tensorsOf(this.#held), roots);
    this.age = stored.age;
    return { place, parts: partsOf(stored) };
  }

  /** Reads what is private. Refuses with `checkpoint_*`; it then has to be cleared. */
  async readPrivate(disk: Disk, directory: string): Promise<PrivateParts> {
    const stored = await this.#readStored(disk, directory);
    if (stored.place !== null) refuse(`${directory} holds no private state.`);
    const tensors = [...this.#moments, ...this.#residual];
    const file = `${directory}/${tensorsFile}`;
    await readTensorFile(disk, file, tensors, [...stored.moments, ...stored.residual]);
    this.age = stored.age;
    return partsOf(stored);
  }

  get #held(): HeldState {
    const [parameters, moments, residual] = [this.#parameters, this.#moments, this.#residual];
    return { age: this.age, parameters, moments, residual };
  }

  async #readStored(disk: Disk, directory: string): Promise<StoredState> {
    const path = `${directory}/${stateFile}`;
    const entry = await disk.stat(path);
    if (entry === null || entry.sizeBytes > stateFileMaximumBytes)
      refuse(`${directory} holds no state.`);
    const parsed = v.safeParse(stateSchema, parseJson(await disk.readText(path)));
    if (!parsed.success) refuse(`${path} does not describe a state.`);
    if (parsed.output.planDigest !== this.executor.plan.digest)
      refuse(`${directory} holds the state of another plan.`);
    const { parameters, moments, residual, place } = parsed.output;
    const fits = [
      [place === null ? [] : this.#parameters, parameters],
      [this.#moments, moments],
      [this.#residual, residual],
    ] as const;
    for (const [tensors, found] of fits)
      if (!isSameShape(tensors, found)) refuse(`${directory} lists other tensors than the plan.`);
    return parsed.output;
  }
}

function tensorsOf({ parameters, moments, residual }: HeldState): NamedBytes[] {
  return [...parameters, ...moments, ...residual];
}

/** What is private to a worker that never worked. */
export function zeroPrivate(plan: Plan, residualLength: number | null): PrivateParts {
  const moments = stateTensors(plan)
    .slice(plan.parameters.length)
    .map(({ name, tensor: { shape } }) => zeroed(name, shape));
  const residual = residualLength === null ? [] : [zeroed("residual", [residualLength])];
  return partsOf({ age: 0, parameters: [], moments, residual });
}

function zeroed(name: string, shape: readonly number[]): TensorRoot {
  return { name, shape, root: zeroRoot(elementCount({ shape }) * 4) };
}

function partsOf(stored: {
  readonly age: number;
  readonly parameters: readonly TensorRoot[];
  readonly moments: readonly TensorRoot[];
  readonly residual: readonly TensorRoot[];
}): StateParts {
  return {
    age: stored.age,
    parameters: digestRoots(stored.parameters),
    moments: digestRoots(stored.moments),
    residual: stored.residual.length === 0 ? null : digestRoots(stored.residual),
  };
}

async function publishState(
  disk: Disk,
  directory: string,
  planDigest: Digest,
  place: StatePlace | null,
  held: HeldState,
): Promise<StateParts> {
  const temporary = `${directory}.tmp`;
  await disk.remove(temporary);
  await disk.makeDirectory(temporary);
  const found = await writeTensorFile(disk, `${temporary}/${tensorsFile}`, tensorsOf(held));
  const roots = found.map((each) => ({ ...each, shape: [...each.shape] }));
  const momentsAt = held.parameters.length;
  const residualAt = momentsAt + held.moments.length;
  const stored: StoredState = {
    format: "psionic-window-state/1",
    planDigest,
    place,
    age: held.age,
    parameters: roots.slice(0, momentsAt),
    moments: roots.slice(momentsAt, residualAt),
    residual: roots.slice(residualAt),
  };
  await disk.publish(`${temporary}/${stateFile}`, `${JSON.stringify(stored)}\n`);
  await disk.syncDirectory(temporary);
  await disk.remove(directory);
  await disk.rename(temporary, directory);
  await disk.syncDirectory(directory.slice(0, directory.lastIndexOf("/")));
  return partsOf(stored);
}

function isSameShape(tensors: readonly NamedBytes[], found: readonly TensorRoot[]): boolean {
  return (
    tensors.length === found.length &&
    tensors.every(
      ({ name, shape }, index) =>
        name === found[index]!.name &&
        shape.length === found[index]!.shape.length &&
        shape.every((extent, axis) => extent === found[index]!.shape[axis]),
    )
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function refuse(message: string): never {
  throw new Refusal(
    "checkpoint_corrupt",
    message,
    "It is had again from its source, or computed again.",
  );
}
