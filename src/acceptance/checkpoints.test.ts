import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, startBinary, TemporaryFolder } from "./binary.ts";
import { forgeParameter, tensorPlace } from "./forged-checkpoint.fixture.ts";
import {
  checkpointsOf,
  type Done,
  doneOf,
  lastLine,
  liveLines,
  slowModel,
  trainToEnd,
  writeBook,
} from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const words = [
  ...[writeBook(folder), ...slowModel, "--steps", "90"],
  ...["--checkpoint-every", "10"],
];

/** A home whose run was interrupted with several checkpoints; tests damage copies of it. */
const home = folder.file("home");
let run = "";
let newest = 0;
let expected: Done;

beforeAll(async () => {
  expected = await trainToEnd(folder.file("undisturbed"), words);
  const parent = await startBinary(["train", ...words, "--json", "--no-input"], home);
  for await (const line of liveLines(parent.stdout)) {
    if (line["type"] === "plan") run = String(line["run"]);
    if (line["type"] === "checkpoint") newest = Number(line["step"]);
    if (line["type"] === "checkpoint" && newest === 40) parent.kill("SIGINT");
  }
  await parent.exited;
  expect(parent.exitCode).toBe(130);
}, 120_000);

const directoryOf = (step: number) => `step-${String(step).padStart(6, "0")}`;
let copies = 0;

/** A copy of the home with something done to its checkpoints. */
function damaged(damage: (checkpoints: string, newestDirectory: string) => void): string {
  const copy = folder.file(`damaged-${++copies}`);
  cpSync(home, copy, { recursive: true });
  const checkpoints = checkpointsOf(copy, run);
  damage(checkpoints, join(checkpoints, directoryOf(newest)));
  return copy;
}

function flipBit(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 0x10;
  writeFileSync(path, bytes);
}

const halve = (path: string) => truncateSync(path, Math.floor(readFileSync(path).byteLength / 2));
const middle = (path: string) => Math.floor(readFileSync(path).byteLength / 2);

interface Damage {
  readonly name: string;
  readonly damage: (checkpoints: string, newestDirectory: string) => void;
  /** The rung passed over: the newest directory, or the pointer. */
  readonly rung: "newest" | "latest.json";
  readonly code: string;
  /** Whether the newest checkpoint itself is still what the run goes on from. */
  readonly newestHolds?: boolean;
}

const model = "model.safetensors";
const optimizer = "optimizer.safetensors";
const damages: readonly Damage[] = [
  ...[model, optimizer, "manifest.json"].flatMap((file): Damage[] => [
    {
      name: `a 0-byte ${file}`,
      damage: (_, directory) => truncateSync(join(directory, file), 0),
      rung: "newest",
      code: "checkpoint_truncated",
    },
    {
      name: `a missing ${file}`,
      damage: (_, directory) => rmSync(join(directory, file)),
      rung: "newest",
      code: "checkpoint_truncated",
    },
  ]),
  ...[model, optimizer].flatMap((file): Damage[] => [
    {
      name: `a truncated ${file}`,
      damage: (_, directory) => halve(join(directory, file)),
      rung: "newest",
      code: "checkpoint_truncated",
    },
    {
      name: `a bit-flipped ${file}`,
      damage: (_, directory) => flipBit(join(directory, file), middle(join(directory, file))),
      rung: "newest",
      code: "checkpoint_corrupt",
    },
    {
      name: `a bit-flipped header of ${file}`,
      damage: (_, directory) => flipBit(join(directory, file), 30),
      rung: "newest",
      code: "checkpoint_corrupt",
    },
  ]),
  {
    name: "a truncated manifest",
    damage: (_, directory) => halve(join(directory, "manifest.json")),
    rung: "newest",
    code: "checkpoint_corrupt",
  },
  {
    name: "a bit-flipped manifest",
    damage: (_, directory) => {
      const path = join(directory, "manifest.json");
      flipBit(path, readFileSync(path, "utf8").indexOf('"stateDigest"') + 20);
    },
    rung: "newest",
    code: "checkpoint_corrupt",
  },
  {
    name: "an empty directory",
    damage: (_, directory) => {
      rmSync(directory, { recursive: true });
      mkdirSync(directory);
    },
    rung: "newest",
    code: "checkpoint_truncated",
  },
  {
    name: "a checkpoint under another step's name",
    damage: (checkpoints, directory) => {
      rmSync(directory, { recursive: true });
      const older = readdirSync(checkpoints).filter((name) => name.startsWith("step-"));
      cpSync(join(checkpoints, older.at(-1)!), directory, { recursive: true });
    },
    rung: "newest",
    code: "checkpoint_stale",
  },
  {
    name: "a pointer to nothing",
    damage: (checkpoints) => {
      const path = join(checkpoints, "latest.json");
      const text = readFileSync(path, "utf8").replace(/step-\d+/, "step-000077");
      writeFileSync(path, text);
    },
    rung: "latest.json",
    code: "checkpoint_missing",
    newestHolds: true,
  },
  {
    name: "an empty pointer",
    damage: (checkpoints) => truncateSync(join(checkpoints, "latest.json"), 0),
    rung: "latest.json",
    code: "checkpoint_truncated",
    newestHolds: true,
  },
  {
    name: "a pointer of other bytes",
    damage: (checkpoints) => writeFileSync(join(checkpoints, "latest.json"), "\0\xff{"),
    rung: "latest.json",
    code: "checkpoint_corrupt",
    newestHolds: true,
  },
];

describe("T-7 a damaged checkpoint is passed over, said so, and the run ends the same", () => {
  test.each(damages.map((each) => [each.name, each] as const))("T-7 %s", async (_, each) => {
    const copy = damaged(each.damage);
    const outcome = await runBinary(["train", "--resume", "latest", "--json"], { home: copy });
    const done = doneOf(outcome);
    const started = jsonLines(outcome.stdout).find(({ type }) => type === "started")!;
    const rung = each.rung === "newest" ? directoryOf(newest) : each.rung;
    expect(started["fallBacks"]).toMatchObject([{ rung, code: each.code }]);
    expect(Number(started["step"]) === newest).toBe(each.newestHolds ?? false);
    expect(Number(started["step"])).toBeGreaterThan(0);
    expect(done.digest).toBe(expected.digest);
  });

  test("T-7 with no checkpoint that holds, resuming is refused with every reason", async () => {
    const copy = damaged((checkpoints) => {
      for (const name of readdirSync(checkpoints))
        if (name.startsWith("step-")) truncateSync(join(checkpoints, name, model), 0);
    });
    for (const words of [
      ["train", "--resume", "latest"],
      ["sample", "latest"],
      ["export", "latest", "--out", folder.file("nothing")],
    ]) {
      const { status, stdout } = await runBinary([...words, "--json"], { home: copy });
      const refusal = lastLine(stdout);
      expect({ words, status, code: refusal["code"] }).toEqual({
        ...{ words, status: 10 },
        code: "checkpoint_missing",
      });
      const { fallBacks } = refusal["details"] as { fallBacks: { code: string }[] };
      expect(fallBacks.length).toBeGreaterThan(1);
      for (const { code } of fallBacks) expect(code).toBe("checkpoint_truncated");
      expect(String(refusal["hint"])).not.toBe("");
    }
  });
});

describe("T-7 psionic digest", () => {
  test("T-7 agrees with what training said, and exits 0", async () => {
    const sound = await runBinary(["digest", "latest", "--tensors", "--json"], { home });
    expect(sound.status).toBe(0);
    const manifest = JSON.parse(
      readFileSync(join(checkpointsOf(home, run), directoryOf(newest), "manifest.json"), "utf8"),
    ) as { stateDigest: string };
    expect(lastLine(sound.stdout)).toMatchObject({ step: newest, digest: manifest.stateDigest });
  });

  test("T-7 names the tensor and the block of one flipped parameter bit", async () => {
    const files = [
      [model, "h.0.attn.qkv.weight", ""],
      [optimizer, "second.wte.weight", "second."],
    ] as const;
    const sound = await runBinary(["digest", "latest", "--tensors", "--json"], { home });
    const { tensors } = lastLine(sound.stdout) as { tensors: { name: string }[] };
    for (const [file] of files) {
      const isOptimizer = file === optimizer;
      const path = join(checkpointsOf(home, run), directoryOf(newest), file);
      const bytes = readFileSync(path);
      // The last bit of the largest tensor, so that the block is not the first.
      const places = tensors
        .filter(({ name }) => /^(first|second)\./.test(name) === isOptimizer)
        .map(({ name }) => ({ name, ...tensorPlace(bytes, name) }))
        .toSorted((a, b) => b.end - b.start - (a.end - a.start));
      const { name, start, end } = places[0]!;
      const copy = damaged((_, directory) => flipBit(join(directory, file), end - 1));
      const { status, stdout } = await runBinary(["digest", "latest", "--json"], { home: copy });
      expect(status).toBe(13);
      const block = Math.floor((end - 1 - start) / 65_536);
      const refusal = lastLine(stdout);
      expect(refusal).toMatchObject({
        ...{ type: "refusal", code: "checkpoint_corrupt" },
        details: { tensor: name, block },
      });
      expect(refusal["message"]).toContain(name);
      expect(refusal["message"]).toContain(`block ${block}`);
    }
  });

  test("T-7 a checkpoint forged together with all its digests differs from the record", async () => {
    const copy = damaged((checkpoints) => forgeParameter(checkpoints, newest, aTensor(), 3, 1));
    const { status, stdout } = await runBinary(["digest", "latest", "--json"], { home: copy });
    expect({ status, code: lastLine(stdout)["code"] }).toEqual({
      ...{ status: 13, code: "replay_differs" },
    });
  });
});

/** A parameter of the run, by what its manifest says. */
function aTensor(): string {
  const path = join(checkpointsOf(home, run), directoryOf(newest), "manifest.json");
  const { tensors } = JSON.parse(readFileSync(path, "utf8")) as { tensors: { name: string }[] };
  return tensors.find(({ name }) => name.includes(".0."))!.name;
}

describe("T-6 numbers that are none", () => {
  test("T-6 a NaN among the parameters is refused by name before the step, nothing is lost", async () => {
    const tensor = aTensor();
    const copy = damaged((checkpoints) =>
      forgeParameter(checkpoints, newest, tensor, 5, 0x7fc00000),
    );
    const { status, stdout } = await runBinary(["train", "--resume", "latest", "--json"], {
      home: copy,
    });
    const refusal = lastLine(stdout);
    expect({ status, code: refusal["code"] }).toEqual({ status: 14, code: "not_finite" });
    expect(refusal["details"]).toMatchObject({ what: "NaN", tensor, element: 5 });
    expect(refusal["message"]).toContain(tensor);
    expect(existsSync(join(checkpointsOf(copy, run), directoryOf(newest)))).toBe(true);
    const sampled = await runBinary(["sample", "latest", "--tokens", "8", "--json"], {
      home: copy,
    });
    expect(sampled.status).toBe(14);
    expect(lastLine(sampled.stdout)).toMatchObject({ type: "refusal", code: "not_finite" });
  });

  test("T-6 a learning rate that bursts the run is refused naming the operation", async () => {
    const wild = folder.file("wild");
    const { status, stdout } = await runBinary(
      ["train", ...words, "--learning-rate", "1e13", "--clip", "0", "--json"],
      { home: wild },
    );
    const refusal = lastLine(stdout);
    expect({ status, code: refusal["code"] }).toEqual({ status: 14, code: "not_finite" });
    const { operation, label } = refusal["details"] as { operation: string; label: string };
    expect(operation.length).toBeGreaterThan(2);
    expect(refusal["message"]).toContain(label);
  });
});
