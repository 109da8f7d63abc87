/** A run's manifest as people write it: TOML whose keys are the words of `run start`, under headings. */
import { dirname, resolve } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { explainIssue } from "#src/command/explain-issue.ts";
import { nearest } from "#src/command/nearest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { trainParameters } from "#src/train/train-parameters.ts";
import { keyLine, sourceFrame } from "../toml-place.ts";
import { meshWords } from "./mesh-words.ts";
import type { MeshRequest } from "./mesh-plan.ts";

export const manifestFormat = "psionic-run-manifest/1";

/** Bytes of a manifest; a hundred times what one of every key has. */
const manifestMaximumBytes = 256 * 1024;

const train = trainParameters.entries;

/** What the manifest may say, each key once. What belongs to a machine or a moment is not in it. */
const section = <Entries extends v.ObjectEntries>(entries: Entries) =>
  v.optional(v.strictObject(entries));

export const manifestSchema = v.strictObject({
  format: v.pipe(v.literal(manifestFormat), v.description("which shape this file has")),
  run: section({ name: train.name, seed: train.seed }),
  data: section({
    files: v.optional(
      v.pipe(
        v.array(v.string()),
        v.maxLength(10_000),
        v.description("text, JSONL or folders, from this file's folder; none: the built-in task"),
      ),
    ),
    tokenizer: train.tokenizer,
    vocabulary: train.vocabulary,
    textField: train.textField,
    holdOut: train.holdOut,
  }),
  model: section({
    size: train.size,
    style: train.style,
    layers: train.layers,
    width: train.width,
    heads: train.heads,
    groups: train.groups,
    context: train.context,
    dropout: train.dropout,
    recompute: train.recompute,
  }),
  training: section({
    steps: train.steps,
    batch: train.batch,
    microBatches: train.microBatches,
    learningRate: train.learningRate,
    warmup: train.warmup,
    schedule: train.schedule,
    optimizer: train.optimizer,
    weightDecay: train.weightDecay,
    clip: train.clip,
    evaluateEvery: train.evaluateEvery,
  }),
  windows: section({
    nodeBatch: meshWords.nodeBatch,
    windowSteps: meshWords.windowSteps,
    segmentSteps: meshWords.segmentSteps,
    participants: meshWords.participants,
    pace: meshWords.pace,
    codec: meshWords.codec,
    carry: meshWords.carry,
    outerRate: meshWords.outerRate,
    outerMomentum: meshWords.outerMomentum,
  }),
  validation: section({
    validators: meshWords.validators,
    replay: meshWords.replay,
    quorum: meshWords.quorum,
    strikes: meshWords.strikes,
  }),
  patience: section({
    trainPatience: meshWords.trainPatience,
    judgePatience: meshWords.judgePatience,
    mergePatience: meshWords.mergePatience,
    silencePatience: meshWords.silencePatience,
  }),
});
type Manifest = v.InferOutput<typeof manifestSchema>;
export type SectionName = Exclude<keyof Manifest, "format">;

/** The headings in the order of the file, with the keys below each. */
export const sections: readonly {
  readonly name: SectionName;
  readonly entries: v.ObjectEntries;
}[] = Object.entries(manifestSchema.entries).flatMap(([name, entry]) =>
  "wrapped" in entry ? [{ name: name as SectionName, entries: entry.wrapped.entries }] : [],
);

/** JSON Schema of the manifest, for editors. */
export function manifestJsonSchema(): Record<string, unknown> {
  const schema = toJsonSchema(manifestSchema, { errorMode: "ignore", typeMode: "input" });
  return { ...schema, title: "A run of a psionic mesh" };
}

/**
 * Reads a manifest: the words it says, paths made absolute from its folder. Refused with `not_found` and
 * `run_manifest_wrong`, which names the line.
 */
export async function readRunManifest(path: string, disk: Disk): Promise<Partial<MeshRequest>> {
  const found = await disk.stat(path);
  if (found === null)
    throw new Refusal("not_found", `${path} does not exist`, "`psionic run init` writes one", {
      file: path,
    });
  if (found.sizeBytes > manifestMaximumBytes)
    throw wrong(path, "", [], `it has more than ${manifestMaximumBytes} bytes`, "shorten it");
  const words = parseRunManifest(await disk.readText(path), path);
  const at = (file: string) => resolve(dirname(path), file);
  const { files, tokenizer } = words;
  const isFile = tokenizer !== undefined && !["byte", "char", "bpe"].includes(tokenizer);
  return {
    ...words,
    ...(files === undefined ? {} : { files: files.map(at) }),
    ...(isFile ? { tokenizer: at(tokenizer) } : {}),
  };
}

/** The words of a manifest's text; `path` names it in refusals. */
export function parseRunManifest(text: string, path: string): Partial<MeshRequest> {
  const checked = v.safeParse(manifestSchema, parseToml(text, path), { abortEarly: false });
  if (!checked.success) throw issueOf(checked.issues[0], text, path);
  const { format: _format, ...said } = checked.output;
  return Object.assign({}, ...Object.values(said)) as Partial<MeshRequest>;
}

function parseToml(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    const frame = sourceFrame(text, error.line, error.column);
    throw refusal(path, error.line, `${reason}\n${frame}`, "correct the line");
  }
}

function issueOf(issue: v.BaseIssue<unknown>, text: string, path: string): Refusal {
  const place = (issue.path ?? []).map(({ key }) => String(key));
  const keys = place.filter((key) => !/^\d+$/.test(key));
  const name = place.join(".");
  if (name === "format" && issue.received === "undefined")
    return wrong(
      path,
      text,
      [],
      "it does not say its format",
      `begin it with format = "${manifestFormat}"`,
    );
  if (issue.type !== "strict_object" || issue.expected !== "never")
    return wrong(
      path,
      text,
      keys,
      explainIssue(issue, name),
      "`psionic run init --schema` says what it may be",
    );
  const siblings = sections.find(({ name: each }) => each === place[0]);
  const known =
    siblings === undefined ? sections.map((each) => each.name) : Object.keys(siblings.entries);
  const guess = nearest(place.at(-1)!, [...known]) ?? placeOf(place.at(-1)!);
  const hint =
    guess === null ? "`psionic run init --schema` lists them all" : `did you mean ${guess}?`;
  return wrong(path, text, keys, `there is no ${name} in a run's manifest`, hint);
}

/** Under which heading a key stands that was written under another. */
function placeOf(key: string): string | null {
  const found = sections.find(({ entries }) => Object.hasOwn(entries, key));
  return found === undefined ? null : `${found.name}.${key}`;
}

function wrong(
  path: string,
  text: string,
  keys: readonly string[],
  reason: string,
  hint: string,
): Refusal {
  if (keys.length === 0) return refusal(path, 1, reason, hint);
  const { line, column } = keyLine(text, keys);
  return refusal(path, line, `${reason}\n${sourceFrame(text, line, column)}`, hint);
}

function refusal(path: string, line: number, reason: string, hint: string): Refusal {
  const where = `${path}:${line}`;
  return new Refusal("run_manifest_wrong", `${where}: ${reason}`, hint, { path, line });
}
