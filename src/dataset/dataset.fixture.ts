import { afterAll, beforeAll } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { machineDisk as disk } from "#src/node/disk.ts";
import { openTextDataset, type TextDatasetOptions } from "./open.ts";
import type { TextDataset } from "./text-dataset.ts";
import type { TokenSequence } from "./token-file.ts";
import { decodeText } from "./tokenizer.ts";

/** Some text with characters of every length in UTF-8. */
export const story = Array.from(
  { length: 400 },
  (_, line) => `Line ${line}: the fox, naïve and 😀, jumps.\n`,
).join("");

/** A temporary directory for the tests of one file, and datasets prepared in it. */
export class DatasetFixture {
  root = "";
  #directoryCount = 0;

  constructor() {
    beforeAll(() => {
      this.root = mkdtempSync(join(tmpdir(), "psionic-dataset-"));
    });
    afterAll(() => rmSync(this.root, { recursive: true, force: true }));
  }

  /** Writes a file of that name in a directory of its own and returns its path. */
  put(name: string, content: string | Uint8Array): string {
    const path = join(this.root, `d${++this.#directoryCount}`, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** A dataset of bytes in a directory of its own, unless told otherwise. */
  open(files: readonly string[], more: Partial<TextDatasetOptions> = {}): Promise<TextDataset> {
    const directory = join(this.root, `prepared${++this.#directoryCount}`);
    return openTextDataset({ files, tokenizer: { kind: "byte" }, directory, disk, ...more });
  }
}

export function tokensOf(tokens: TokenSequence): Int32Array {
  const all = new Int32Array(tokens.length);
  tokens.copy(0, tokens.length, all, 0);
  return all;
}

export function textOf(dataset: TextDataset, tokens: TokenSequence): string {
  return decodeText(dataset.tokenizer, tokensOf(tokens));
}

/** The documents of one side, as end-of-text tokens separate them. */
export function documentsOf(dataset: TextDataset, tokens: TokenSequence): string[] {
  const documents: string[] = [];
  let current: number[] = [];
  for (const token of tokensOf(tokens)) {
    if (token !== dataset.tokenizer.endOfText) {
      current.push(token);
      continue;
    }
    documents.push(decodeText(dataset.tokenizer, current));
    current = [];
  }
  return documents;
}

export function jsonl(texts: readonly string[]): string {
  return texts.map((text) => JSON.stringify({ text })).join("\n");
}

/** What a promise rejects with; null when it does not. */
export function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}
