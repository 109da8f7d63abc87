/** The manifest that `run init` writes: every key with what it is by default, and why. */
import * as v from "valibot";
import { recipeOf, type SizeName } from "#src/model/sizes.ts";
import { usualDecayPerMille } from "#src/train/run-document.ts";
import { scheduleDefaults, textDefaults } from "#src/train/recipes.ts";
import { manifestFormat, sections, type SectionName } from "./manifest-file.ts";
import { meshDefaults as mesh } from "./mesh-defaults.ts";

/** Characters of a line of the file. */
const width = 96;

/** How a key stands in the file: with its default, or as a remark where the default follows from others. */
interface Line {
  readonly value: unknown;
  /** Completes the key's description: why it is so, or from what it follows. */
  readonly why: string;
  readonly isOpen?: boolean;
}

const headings: Readonly<Record<SectionName, string>> = {
  run: "The run itself.",
  data: "What it learns.",
  model: "What learns it. One dial, size, picks all the rest.",
  training:
    "The run as one machine would do it: steps times batch is what all nodes together read.",
  windows: "How the work is shared. Between two revisions each node goes its own way.",
  validation: "Who checks whom.",
  patience: "How long the mesh waits for those who say nothing.",
};

/** The text of a manifest for a size and files. */
export function draftRunManifest(size: SizeName, files: readonly string[]): string {
  const lines = linesOf(size, files);
  const parts = sections.map(({ name, entries }) => {
    const rows = Object.entries(entries).map(([key, entry]) => {
      const { value, why, isOpen } = lines[key]!;
      const remark = wrapped(`${sentence(descriptionOf(entry))} ${why}`.trim());
      return `${remark}\n${isOpen === true ? "# " : ""}${key} = ${JSON.stringify(value)}`;
    });
    return [`# ${headings[name]}`, `[${name}]`, ...rows].join("\n");
  });
  const head = [
    "# A run of the mesh: psionic run start --manifest FILE",
    "# A line that begins with `# key =` shows a value that else follows from the others.",
    `format = "${manifestFormat}"`,
  ];
  return `${[head.join("\n"), ...parts].join("\n\n")}\n`;
}

function linesOf(size: SizeName, files: readonly string[]): Readonly<Record<string, Line>> {
  const recipe = recipeOf(size);
  const { model } = recipe;
  const text = textDefaults[size];
  const follows = (value: unknown, why: string): Line => ({ value, why, isOpen: true });
  const is = (value: unknown, why = ""): Line => ({ value, why });
  const ofSize = `Of size ${size}.`;
  const layers = model.layers ?? 4;
  const heads = model.heads ?? 4;
  return {
    name: follows("book", "By default after the first file."),
    seed: is(0, "The same seed, data and members give the same bits."),
    files: is([...files]),
    tokenizer: is(text.tokenizer, ofSize),
    vocabulary: follows(text.vocabularySize, "Only for bpe."),
    textField: is("text"),
    holdOut: is(100),
    size: is(size),
    ...{
      style: is(model.style, ofSize),
      layers: is(layers, ofSize),
      width: is(model.width, ofSize),
    },
    ...{ heads: is(heads, ofSize), groups: follows(heads, "By default as many as heads.") },
    context: follows(model.contextLength, `${ofSize} Less where the text is short.`),
    dropout: is(model.dropout ?? 0, ofSize),
    recompute: is(false),
    ...{ steps: is(recipe.steps, ofSize), batch: is(recipe.batchSize, ofSize) },
    microBatches: is(recipe.microBatches, ofSize),
    learningRate: is(recipe.learningRate, ofSize),
    warmup: follows(recipe.warmupSteps, "At most a tenth of the steps."),
    ...{ schedule: is(scheduleDefaults.kind), optimizer: is(recipe.optimizer) },
    ...{ weightDecay: is(recipe.weightDecay), clip: is(recipe.clipNorm) },
    evaluateEvery: follows(50, "By default a twentieth of the steps."),
    nodeBatch: follows(4, "So that the nodes at the start share the batch."),
    windowSteps: follows(
      32,
      `By default about ${mesh.windowSeconds} s of work, and ${mesh.windowsLeast} to ${mesh.windowsMost} windows: longer ones move fewer bytes, shorter ones keep the nodes closer together.`,
    ),
    segmentSteps: follows(
      4,
      `By default an eighth of a window: a validator recomputes one of these, and a crash costs no more.`,
    ),
    participants: follows(16, "By default 16, or all trainers at the start where they are more."),
    pace: is(mesh.pace, "With measured, nodes of any speed end a window together."),
    codec: is(
      mesh.codec,
      "dense is exact, int8 a quarter of its bytes, top-k less than a hundredth.",
    ),
    carry: follows(
      usualDecayPerMille["top-k"] / 1_000,
      "By default 0.95 with top-k and 0 with the others, which leave out little.",
    ),
    outerRate: is(mesh.outerRate, "How far revisions go along the mean of the contributions."),
    outerMomentum: is(
      mesh.outerMomentum,
      "Nesterov's; worth having in runs of several hundred windows.",
    ),
    validators: is(mesh.validators, "Another participant each time; 0 trusts everybody."),
    replay: follows(
      1,
      `By default 1 where a segment takes ${mesh.alwaysReplayedSeconds} s at most and its state, which its validator fetches, has ${mesh.alwaysReplayedBytes / 2 ** 20} MiB at most; else ${mesh.replay}.`,
    ),
    quorum: follows(2, "By default more than half of the trainers at the start."),
    strikes: is(mesh.strikes, "An honest node never gets one, whatever breaks."),
    trainPatience: follows(
      "10m",
      `By default a minute and ${mesh.patienceTimes} times what the steps should take.`,
    ),
    judgePatience: follows("2m", "By default likewise."),
    mergePatience: follows("1m", "By default likewise."),
    silencePatience: is(
      `${mesh.silenceMs / 1_000}s`,
      "Slices of the silent go back and are given to others.",
    ),
  };
}

function descriptionOf(entry: unknown): string {
  const { wrapped: inner } = entry as { readonly wrapped?: v.GenericSchema };
  return v.getDescription((inner ?? entry) as never) ?? "";
}

const sentence = (text: string) =>
  text === "" ? "" : `${text[0]!.toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

/** Remarks of a text, no line of them too long. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`# ${word}`);
  }
  return lines.join("\n");
}
