import { describe, expect, test } from "bun:test";
import { absolutePaths } from "./paths.ts";

const inHome = () => "/srv/texts";
const make = (parameters: Record<string, unknown>) =>
  absolutePaths({ paths: ["file", "files"] }, parameters, inHome);

describe("A-2 paths of the caller", () => {
  test("A-2 paths are made absolute, the items of lists too; other parameters stay", () => {
    expect(make({ file: "a.txt", files: ["b", "../c", "/d"], name: "e" })).toEqual({
      file: "/srv/texts/a.txt",
      files: ["/srv/texts/b", "/srv/c", "/d"],
      name: "e",
    });
  });

  test("A-2 a word that is no path there stays one", () => {
    const paths = [{ key: "tokenizer", words: ["byte", "bpe"] }];
    const tokenizerOf = (tokenizer: string) => absolutePaths({ paths }, { tokenizer }, inHome);
    expect(tokenizerOf("bpe")).toEqual({ tokenizer: "bpe" });
    expect(tokenizerOf("own.json")).toEqual({ tokenizer: "/srv/texts/own.json" });
  });

  test("A-2 an address is no path", () => {
    expect(make({ files: ["https://a:1/b#c", "s3://d", "a:b"] })).toEqual({
      files: ["https://a:1/b#c", "s3://d", "/srv/texts/a:b"],
    });
  });

  test("A-2 what is no path is left for the schema", () => {
    expect(make({ file: 5, files: [true, ""] })).toEqual({ file: 5, files: [true, ""] });
    expect(make({})).toEqual({});
  });

  test("A-2 without paths the directory is not asked for", () => {
    const gone = () => {
      throw new Error("the directory is gone");
    };
    expect(absolutePaths({}, { file: "a" }, gone)).toEqual({ file: "a" });
    expect(absolutePaths({ paths: ["file"] }, { name: "a" }, gone)).toEqual({ name: "a" });
  });
});
