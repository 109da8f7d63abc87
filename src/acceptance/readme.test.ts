import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recipes, type SizeName } from "#src/model/sizes.ts";
import { defaultTextSize, textDefaults } from "#src/train/recipes.ts";
import { binaryPath, root, start, TemporaryFolder } from "./binary.ts";

/**
 * The README's commands, run in order in one empty folder with one new home. The page shows real
 * sizes; settings make the runs short: every parameter of `train` is also an environment variable.
 */
const short = {
  PSIONIC_TRAIN_STEPS: "60",
  PSIONIC_TRAIN_BATCH: "4",
  PSIONIC_TRAIN_EVALUATE_EVERY: "1000",
  PSIONIC_SAMPLE_TOKENS: "16",
  PSIONIC_CHAT_TOKENS: "16",
  // Other tests of this machine have daemons as well.
  PSIONIC_UP_PORT: "0",
};

interface Line {
  readonly command: string;
  /** The page says that this one is stopped with Ctrl-C. */
  readonly isInterrupted: boolean;
}

const readme = readFileSync(join(root, "README.md"), "utf8");

function listLines(markdown: string): Line[] {
  const blocks = [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "");
  return blocks
    .flatMap((block) => block.split("\n"))
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => {
      const [command = "", comment = ""] = line.split(/\s+#\s/);
      return { command, isInterrupted: comment.includes("Ctrl-C") };
    });
}

/** A file the page tells the reader to write: its name in the line before, then its text. */
const namedFile = /`([a-z]+\.toml)`:\n\n```toml\n([\s\S]*?)^```$/gm;

/** A small book with a rhythm to learn, the same every time. */
function book(): string {
  const subjects = ["The sea", "A ship", "The captain", "An old whale", "The north wind"];
  const verbs = ["waits for", "follows", "remembers", "sings to", "is afraid of"];
  const sentence = (index: number) =>
    `${subjects[index % 5]} ${verbs[(index * 7 + (index >> 3)) % 5]} ${subjects[(index * 3 + 1) % 5]!.toLowerCase()}.`;
  return Array.from({ length: 600 }, (_, index) => sentence(index)).join(" ");
}

async function prepareFolder(folder: TemporaryFolder): Promise<void> {
  const text = book();
  writeFileSync(folder.file("book.txt"), text);
  mkdirSync(join(folder.path, "chapters"));
  for (const chapter of [1, 2, 3])
    writeFileSync(folder.file(`chapters/${chapter}.txt`), text.slice(chapter * 2_000, 9_000));
  const letters = Array.from({ length: 40 }, (_, index) =>
    JSON.stringify({ body: text.slice(index * 90, index * 90 + 400) }),
  );
  writeFileSync(folder.file("letters.jsonl"), `${letters.join("\n")}\n`);
  for (const [, name = "", text = ""] of readme.matchAll(namedFile))
    writeFileSync(folder.file(name), text);
  const program = await binaryPath();
  symlinkSync(program, folder.file("psionic"));
  symlinkSync(program, folder.file("bin/psionic"));
}

/** Runs a line as a person's shell would; `exec` lets Ctrl-C reach the program itself. */
async function runLine({ command, isInterrupted }: Line, folder: TemporaryFolder) {
  const child = start(
    ["bash", "-c", isInterrupted ? `exec ${command}` : `set -o pipefail; ${command}`],
    folder.file("home"),
    {
      cwd: folder.path,
      environment: { ...short, PATH: `${folder.path}/bin:${process.env["PATH"] ?? ""}` },
      timeoutMs: 60_000,
    },
  );
  const stdout = child.stdout.text();
  let stderr = "";
  const decoder = new TextDecoder();
  for await (const piece of child.stderr) {
    stderr += decoder.decode(piece, { stream: true });
    if (isInterrupted && child.exitCode === null && stderr.includes("\nstep "))
      child.kill("SIGINT");
  }
  await child.exited;
  return { status: child.exitCode, stdout: await stdout, stderr };
}

describe("the README", () => {
  const lines = listLines(readme);

  test("every command of the page runs, in order", async () => {
    using folder = new TemporaryFolder();
    await prepareFolder(folder);
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) {
      const { status, stdout, stderr } = await runLine(line, folder);
      const wanted = line.isInterrupted ? 130 : 0;
      expect({ command: line.command, status, said: status === wanted ? "" : stderr }).toEqual({
        command: line.command,
        status: wanted,
        said: "",
      });
      expect(`${line.command}: ${(stdout + stderr).length}`).not.toEndWith(": 0");
    }
  }, 240_000);

  test("lines are read as a person reads them", () => {
    const markdown =
      "```sh\n# a remark\npsionic train\n\npsionic runs    # stop it with Ctrl-C\n```";
    expect(listLines(markdown)).toEqual([
      { command: "psionic train", isInterrupted: false },
      { command: "psionic runs", isInterrupted: true },
    ]);
    expect(listLines("```text\npsionic bench\n```")).toEqual([]);
  });

  test("the table of sizes is that of the recipes", () => {
    const rows = [...readme.matchAll(/^\| ([a-z0-9, -]+) \| (\w+) \| ([\d, ]+) \| (\w+) \|/gm)];
    const shown = rows.flatMap(([, names = "", style, contexts = "", tokenizer]) =>
      names.split(", ").map((name, index) => {
        const contextList = contexts.split(", ");
        const context = Number(contextList[index] ?? contextList[0]);
        return { name, style, context, tokenizer: tokenizer === "BPE" ? "bpe" : "byte" };
      }),
    );
    const wanted = (Object.keys(recipes) as SizeName[]).map((name) => ({
      name,
      style: recipes[name].model.style,
      context: recipes[name].model.contextLength,
      tokenizer: textDefaults[name].tokenizer,
    }));
    expect(shown as unknown[]).toEqual(wanted);
    expect(readme).toContain(`without it a text is trained with \`${defaultTextSize}\``);
  });

  test("captures and tables are those of their files", () => {
    const check = Bun.spawnSync([process.execPath, "scripts/capture.ts", "--check"], { cwd: root });
    expect(check.stderr.toString()).toBe("");
    expect(check.exitCode).toBe(0);
  });
});
