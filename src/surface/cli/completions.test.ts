import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Registry, type AnyCommand } from "#src/command/registry.ts";
import { completionScript, shells } from "./completions.ts";

const command = (name: string, more: Partial<AnyCommand> = {}): AnyCommand => ({
  name,
  summary: `It's a command: ${name}.`,
  parameters: v.strictObject({}),
  run: () => null,
  ...more,
});

const registry = new Registry();
for (const each of [
  command("train", {
    parameters: v.strictObject({
      isa: v.optional(v.pipe(v.picklist(["avx2", "avx512"]), v.description("the lane"))),
      checkpointEvery: v.optional(v.number()),
      tied: v.optional(v.boolean(), true),
    }),
  }),
  command("identity/show"),
  command("identity/backup"),
  command("completions", {
    parameters: v.strictObject({ shell: v.picklist(["bash", "zsh", "fish"]) }),
    positional: ["shell"],
  }),
]) {
  registry.declare(each);
}

/** What bash itself offers after these words, the last one being typed. */
function bashOffers(words: readonly string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const script = `${completionScript("bash", registry.all())}
    COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
    entry=$(complete -p psionic); [[ $entry == *"-F _psionic psionic" ]] || exit 9
    _psionic psionic "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, exitCode } = Bun.spawnSync(["bash", "-c", script]);
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  return stdout.toString().split("\n").filter(Boolean);
}

const cases: [string[], string[]][] = [
  [
    ["psionic", ""],
    ["completions", "identity", "train"],
  ],
  [["psionic", "id"], ["identity"]],
  [
    ["psionic", "identity", ""],
    ["backup", "show"],
  ],
  [["psionic", "--json", "identity", "s"], ["show"]],
  [["psionic", "train", "--i"], ["--isa"]],
  [["psionic", "train", "--check"], ["--checkpoint-every"]],
  [["psionic", "train", "--no-t"], ["--no-tied"]],
  [
    ["psionic", "train", "--isa", ""],
    ["avx2", "avx512"],
  ],
  [["psionic", "train", "file.txt", "--isa", "avx5"], ["avx512"]],
  [["psionic", "completions", "z"], ["zsh"]],
  [
    ["psionic", "--ver"],
    ["--verbose", "--version"],
  ],
  [["psionic", "nothing"], []],
];

/** Why a shell's script is not checked here, or null. */
const missing = (shell: string) => (Bun.which(shell) ? null : `${shell} is not installed`);

describe("A-3 completions", () => {
  test.each(cases)("A-3 bash completes %p", (words, offered) => {
    expect(bashOffers(words).toSorted()).toEqual(offered);
  });

  for (const shell of shells) {
    const reason = missing(shell);
    const check = reason === null ? test : test.skip;
    check(`A-3 ${shell} reads its script${reason === null ? "" : ` (${reason})`}`, () => {
      const script = completionScript(shell, registry.all());
      const { exitCode, stderr } = Bun.spawnSync([shell, "-n"], { stdin: Buffer.from(script) });
      expect(stderr.toString()).toBe("");
      expect(exitCode).toBe(0);
      for (const word of ["train", "identity", "checkpoint-every"]) expect(script).toContain(word);
    });
  }

  const fish = missing("fish");
  (fish === null ? test : test.skip)(`A-3 fish completes${fish ? ` (${fish})` : ""}`, () => {
    for (const [words, offered] of cases.filter(([words]) => words[1] !== "nothing")) {
      const { stdout } = Bun.spawnSync([
        "fish",
        "--no-config",
        "-c",
        `${completionScript("fish", registry.all())}\ncomplete -C '${words.join(" ")}'`,
      ]);
      const found = stdout.toString().trimEnd().split("\n");
      expect(found.map((line) => line.split("\t")[0]!).toSorted()).toEqual(offered);
    }
  });
});
