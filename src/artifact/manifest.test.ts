import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { canonicalText, digestBytes } from "#src/codec/digest.ts";
import { codeOf, refusalOf } from "./artifact.fixture.ts";
import {
  chunkBytesMinimum,
  chunkPlaces,
  distinctChunks,
  fileCountMaximum,
  manifestBytesMaximum,
  nameManifest,
  parseManifest,
  type ArtifactManifest,
} from "./manifest.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const read = (value: unknown) => parseManifest(encode(canonicalText(value)));
const [one, two] = [digestBytes("1"), digestBytes("2")];

const file: ArtifactManifest = {
  ...{ format: "psionic-artifact/1", mediaType: "text/plain" },
  ...{ sizeBytes: chunkBytesMinimum + 1, chunkBytes: chunkBytesMinimum, chunks: [one, two] },
};
const folderOf = (...paths: string[]): ArtifactManifest => ({
  ...{ ...file, mediaType: "inode/directory", sizeBytes: paths.length },
  ...{ files: paths.map((path) => ({ path, sizeBytes: 1 })), chunks: paths.map(() => one) },
});

describe("W-5 the manifest of an artifact", () => {
  test("W-5 its digest is that of its canonical text, whatever order it was made in", () => {
    const turned = Object.fromEntries(Object.entries(file).toReversed()) as ArtifactManifest;
    expect(nameManifest(turned).digest).toBe(nameManifest(file).digest);
    expect(nameManifest(file).digest).toBe(digestBytes(canonicalText(file)));
  });

  test("W-5 each file begins a chunk; the last chunk of a file is what is left", () => {
    const manifest: ArtifactManifest = {
      ...{ ...file, sizeBytes: chunkBytesMinimum + 5, chunks: [one, two, two] },
      files: [
        { path: "a", sizeBytes: chunkBytesMinimum + 2 },
        { path: "b", sizeBytes: 0 },
        { path: "c", sizeBytes: 3 },
      ],
    };
    const same = { ...manifest, files: [...manifest.files!] };
    same.files[2] = { path: "c", sizeBytes: 2 };
    expect(chunkPlaces(manifest).map(({ sizeBytes }) => sizeBytes)).toEqual([
      ...[chunkBytesMinimum, 2, 3],
    ]);
    const good = read({ ...same, sizeBytes: chunkBytesMinimum + 4 });
    expect(distinctChunks(good.manifest)).toHaveLength(2);
  });

  const hostile: Readonly<Record<string, unknown>> = {
    "a size without chunks": { ...file, chunks: [] },
    "a chunk too many": { ...file, chunks: [one, two, one] },
    "a chunk of two sizes": { ...file, chunks: [one, one] },
    "a negative size": { ...file, sizeBytes: -1 },
    "a size beyond all numbers": { ...file, sizeBytes: 2 ** 53 },
    "a fraction of a byte": { ...file, sizeBytes: 0.5 },
    "tiny chunks": { ...file, chunkBytes: 1 },
    "chunks of nothing": { ...file, chunkBytes: 0 },
    "huge chunks": { ...file, chunkBytes: 2 ** 40 },
    "another format": { ...file, format: "psionic-artifact/2" },
    "an unknown field": { ...file, mode: 493 },
    "a digest in capitals": { ...file, chunks: [one.toUpperCase(), two] },
    "a digest that is a path": { ...file, chunks: ["../../etc/passwd", two] },
    "a media type with a line": { ...file, mediaType: "text/plain\r\nx: y" },
    "a title that moves the cursor": { ...file, title: "\u001b[2J" },
    "a path that climbs": folderOf("../a"),
    "a path that climbs inside": folderOf("a/../../b"),
    "an absolute path": folderOf("/etc/passwd"),
    "a path with a backslash": folderOf("..\\a"),
    "an empty part": folderOf("a//b"),
    "a part that is a dot": folderOf("a/./b"),
    "an empty path": folderOf(""),
    "a NUL": folderOf("a\u0000b"),
    "half a character": folderOf("a\ud800"),
    "a path that stands twice": folderOf("a", "a"),
    "paths out of order": folderOf("b", "a"),
    "a file that is a folder too": folderOf("a", "a/b"),
    "a deep path": folderOf(Array.from({ length: 40 }, () => "a").join("/")),
    "a long name": folderOf("a".repeat(256)),
    "sizes of files that do not add up": { ...folderOf("a", "b"), sizeBytes: 3 },
    "too many files": folderOf(
      ...Array.from({ length: fileCountMaximum + 1 }, (_, index) => `${index}`.padStart(9, "0")),
    ),
    "a link": { ...folderOf("a"), files: [{ path: "a", sizeBytes: 1, link: "/etc/passwd" }] },
    nothing: null,
    "a list": [file],
  };

  test.each(Object.entries(hostile))("W-5 %s is refused", async (_name, value) => {
    const text = JSON.stringify(value);
    expect(await codeOf(() => parseManifest(encode(text)))).toBe("artifact_manifest_wrong");
  });

  test("W-5 the same manifests without their fault are accepted", () => {
    expect(read(file).manifest).toEqual(file);
    expect(read(folderOf("a", "a.b", "b/c")).manifest.files).toHaveLength(3);
    expect(read({ ...file, title: "the works of “W. S.”" }).manifest.title).toContain("W. S.");
    expect(read({ ...file, sizeBytes: 0, chunks: [] }).manifest.chunks).toEqual([]);
  });

  test("W-5 only the canonical text counts: no spaces, no field twice, no mark before it", async () => {
    const text = canonicalText(file);
    const last = text.slice(0, -1);
    for (const other of [` ${text}`, `${text}\n`, `\ufeff${text}`, `${last},"sizeBytes":65537}`])
      expect(await codeOf(() => parseManifest(encode(other)))).toBe("artifact_manifest_wrong");
    expect(parseManifest(encode(text)).text).toBe(text);
  });

  test("W-5 deep nesting and megabytes of it are refused, not suffered", async () => {
    for (const text of ["[".repeat(1_000_000), `{"a":`.repeat(100_000), '"'])
      expect(await codeOf(() => parseManifest(encode(text)))).toBe("artifact_manifest_wrong");
    const large = new Uint8Array(manifestBytesMaximum + 1);
    expect((await refusalOf(() => parseManifest(large)))?.message).toContain("at most");
  });

  test("W-5 fuzz: bytes and bent manifests are parsed or refused, never else", async () => {
    const text = canonicalText(folderOf("a", "b/c", "d"));
    const bent = fc
      .tuple(fc.nat(text.length - 1), fc.nat(text.length - 1), fc.string({ maxLength: 8 }))
      .map(([from, to, put]) => encode(text.slice(0, from) + put + text.slice(to)));
    const values = fc
      .record({
        format: fc.constant("psionic-artifact/1"),
        mediaType: fc.oneof(fc.constant("a/b"), fc.string()),
        sizeBytes: fc.oneof(fc.nat(200_000), fc.double(), fc.maxSafeInteger()),
        chunkBytes: fc.oneof(fc.constant(chunkBytesMinimum), fc.maxSafeInteger()),
        chunks: fc.array(fc.constantFrom(one, two, "x"), { maxLength: 4 }),
      })
      .map((value) => encode(JSON.stringify(value)));
    const sound = fc
      .array(fc.nat(3 * chunkBytesMinimum), { minLength: 1, maxLength: 3 })
      .map((sizes) => ({
        ...{ format: "psionic-artifact/1", mediaType: "a/b", chunkBytes: chunkBytesMinimum },
        sizeBytes: sizes.reduce((total, size) => total + size, 0),
        files: sizes.map((sizeBytes, index) => ({ path: `${index}`, sizeBytes })),
        chunks: sizes
          .flatMap((size) =>
            Array.from({ length: Math.ceil(size / chunkBytesMinimum) }, () => size),
          )
          .map((size, index) => digestBytes(`${size} ${index}`)),
      }))
      .map((value) => encode(canonicalText(value)));
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), bent, values, sound), async (bytes) => {
        const code = await codeOf(() => {
          const { digest, manifest } = parseManifest(bytes);
          // What is accepted is its own canonical form and holds together.
          expect(nameManifest(manifest).digest).toBe(digest);
          const sum = chunkPlaces(manifest).reduce((total, each) => total + each.sizeBytes, 0);
          expect(sum).toBe(manifest.sizeBytes);
          accepted += 1;
        });
        expect(["accepted", "artifact_manifest_wrong"]).toContain(code);
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
