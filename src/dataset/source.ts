import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { readChunks, type NamedFile } from "./text-file.ts";

/** A file that text is read from. */
export interface Source extends NamedFile {
  /** `path` as the disk finds it; `name` without the part that differs between machines. */
  readonly format: "text" | "jsonl";
  readonly sizeBytes: number;
}

/** What a directory is searched for. A file named directly may have any name. */
const textExtensions: readonly string[] = [
  ...["txt", "text", "md", "markdown", "rst", "tex", "adoc", "org", "csv", "tsv", "html", "xml"],
  ...["jsonl", "ndjson", "json", "toml", "yaml", "yml", "log", "srt", "vtt"],
  ...["py", "js", "ts", "tsx", "jsx", "c", "h", "cc", "cpp", "hpp", "cu", "rs", "go", "java", "kt"],
  ...["swift", "rb", "php", "cs", "scala", "hs", "ml", "lua", "r", "jl", "sh", "sql", "css"],
];

const FILE_COUNT_MAXIMUM = 1_000_000;
const DEPTH_MAXIMUM = 32;

/**
 * The files that paths stand for: a file itself, a directory every text file below it in the order
 * of its names, hidden ones left out. Refusals: `not_found`, `not_a_file`, `data_empty` for an empty
 * file that was named, a directory without text and no paths at all.
 */
export async function listSources(
  disk: Disk,
  paths: readonly string[],
): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const path of paths) {
    const trimmed = path.replace(/\/+$/, "") || "/";
    const entry = await disk.stat(trimmed);
    if (entry === null) {
      throw new Refusal("not_found", `${path} does not exist`, "Check the spelling of the path.", {
        file: path,
      });
    }
    const name = trimmed.split("/").pop() || trimmed;
    if (entry.kind === "directory") {
      const found = await listDirectory(disk, trimmed, name, 0);
      if (found.length === 0) throw noText(path);
      for (const source of found) sources.push(source);
    } else {
      if (entry.kind === "other") throw notAFile(path);
      if (entry.sizeBytes === 0) throw emptyFile(path);
      sources.push({ path: trimmed, name, format: formatOf(name), sizeBytes: entry.sizeBytes });
    }
    if (sources.length > FILE_COUNT_MAXIMUM) throw tooMany(path);
  }
  if (sources.length === 0) throw noText("the list of files");
  return sources;
}

async function listDirectory(
  disk: Disk,
  path: string,
  name: string,
  depth: number,
): Promise<Source[]> {
  if (depth > DEPTH_MAXIMUM) throw tooDeep(path);
  const sources: Source[] = [];
  for (const entry of await disk.list(path)) {
    if (entry.name.startsWith(".")) continue;
    const file = { path: `${path}/${entry.name}`, name: `${name}/${entry.name}` };
    if (entry.kind === "directory") {
      for (const source of await listDirectory(disk, file.path, file.name, depth + 1))
        sources.push(source);
    } else if (entry.kind === "file" && entry.sizeBytes > 0 && hasTextName(entry.name)) {
      sources.push({ ...file, format: formatOf(entry.name), sizeBytes: entry.sizeBytes });
    }
    if (sources.length > FILE_COUNT_MAXIMUM) throw tooMany(path);
  }
  return sources;
}

function extensionOf(name: string): string {
  return name.includes(".") ? name.split(".").pop()!.toLowerCase() : "";
}

function hasTextName(name: string): boolean {
  return textExtensions.includes(extensionOf(name));
}

function formatOf(name: string): Source["format"] {
  return ["jsonl", "ndjson"].includes(extensionOf(name)) ? "jsonl" : "text";
}

function emptyFile(path: string): Refusal {
  return new Refusal("data_empty", `${path} is empty`, "Give a file with text in it.", {
    file: path,
  });
}

export function noText(path: string): Refusal {
  return new Refusal(
    "data_empty",
    `${path} holds no text`,
    "Text files, Markdown, source code and JSONL are read; hidden and empty files are not.",
    { file: path },
  );
}

function notAFile(path: string): Refusal {
  return new Refusal(
    "not_a_file",
    `${path} is a pipe or a device`,
    "Text is read several times over; write it to a file first.",
    { file: path },
  );
}

function tooDeep(path: string): Refusal {
  return new Refusal(
    "usage",
    `${path} lies more than ${DEPTH_MAXIMUM} directories deep`,
    "Look for a link that leads back to a directory above it; else name the inner directories.",
    { file: path },
  );
}

function tooMany(path: string): Refusal {
  return new Refusal(
    "usage",
    `${path} holds more than ${FILE_COUNT_MAXIMUM} files`,
    "Pack small documents into JSONL files, one document per line.",
    { file: path },
  );
}

/** SHA-256 of a source's raw bytes. */
export async function digestSource(disk: Disk, source: Source): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of readChunks(disk, source)) hash.update(chunk);
  return hash.digest("hex");
}
