import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { HuggingFaceModel } from "./huggingface-reader.fixture.ts";
import { lastLine, trainToEnd, writeBook } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const home = folder.file("home");
const book = writeBook(folder);
const prompt = "the old ";
const tokenCount = 20;

const styles: readonly (readonly [style: string, extra: readonly string[], tensors: number])[] = [
  ["gpt2", [], 2 + 2 * 12 + 2],
  ["llama", ["--groups", "2"], 1 + 2 * 9 + 1],
  ["qwen3", ["--groups", "2"], 1 + 2 * 11 + 1],
];

describe("T-3 export to a Hugging Face directory", () => {
  test.each(styles)(
    "T-3 %s: another reader finds every tensor and goes on with a text as psionic does",
    async (style, extra, tensorCount) => {
      const words = ["--layers", "2", "--width", "32", "--heads", "4", "--context", "32", ...extra];
      const run = ["--batch", "4", "--steps", "80", "--style", style, "--name", style];
      await trainToEnd(home, [book, ...words, ...run]);
      const directory = folder.file(`exported/${style}`);
      const exported = await runBinary(["export", style, "--out", directory, "--json"], { home });
      expect({ status: exported.status, ...lastLine(exported.stdout) }).toMatchObject({
        ...{ status: 0, step: 80, directory },
      });
      expect(readdirSync(directory).sort()).toEqual(
        expect.arrayContaining(["config.json", "model.safetensors", "tokenizer.json"]),
      );
      const model = new HuggingFaceModel(directory);
      expect(model.configuration.model_type).toBe(style as "gpt2");
      expect(model.tensorNames.length).toBe(tensorCount);

      const greedy = ["--prompt", prompt, "--tokens", String(tokenCount), "--temperature", "0"];
      const { stdout } = await runBinary(["sample", style, ...greedy, "--json"], { home });
      const expected = jsonLines(stdout).flatMap(({ type, token }) =>
        type === "token" && token !== null ? [Number(token)] : [],
      );
      expect(expected.length).toBe(tokenCount);
      const tokens = [...Buffer.from(prompt)];
      for (let position = 0; position < tokenCount; position++) tokens.push(model.next(tokens));
      expect(tokens.slice(-tokenCount)).toEqual(expected);
    },
  );

  test("T-3 exporting again gives the same bytes; a file in the way is refused", async () => {
    const file = (name: string) => readFileSync(join(folder.path, name, "model.safetensors"));
    const again = folder.file("again");
    expect((await runBinary(["export", "llama", "--out", again], { home })).status).toBe(0);
    expect(file("again").equals(file("exported/llama"))).toBe(true);
    const occupied = folder.file("occupied");
    writeFileSync(occupied, "somebody's file");
    const refused = await runBinary(["export", "llama", "--out", occupied, "--json"], { home });
    expect(refused.status).toBe(14);
    expect(lastLine(refused.stdout)).toMatchObject({ type: "refusal" });
    expect(readFileSync(occupied, "utf8")).toBe("somebody's file");
  });
});
