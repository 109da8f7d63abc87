import { expect, test } from "bun:test";
import { createHash, createPublicKey, verify } from "node:crypto";
import canonicalize from "canonicalize";
import {
  bundleBytes,
  exporterOf,
  MemoryShelf,
  MiniMesh,
  playRun,
  sourceOf,
  ToyNumbers,
  toySpec,
} from "./evidence.fixture.ts";

/**
 * docs/EVIDENCE.md followed to the letter, with SHA-256, Ed25519 and canonical JSON and nothing of this program: steps 1 to 5
 * and what step 6 says is to be looked at by hand.
 */

type Json = Record<string, never>;
const canonical = (value: unknown) => canonicalize(value)!;
const digest = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const zeros = "0".repeat(64);

class Wrong extends Error {}
function must(holds: boolean, what: string): void {
  if (!holds) throw new Wrong(what);
}

function isSigned(key: string, content: unknown, signature: string): boolean {
  const der = Buffer.concat([
    Buffer.from("302a300506032b6570032100", "hex"),
    Buffer.from(key, "hex"),
  ]);
  const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
  return verify(null, Buffer.from(canonical(content)), publicKey, Buffer.from(signature, "hex"));
}

function nodeId(key: string): string {
  const bytes = createHash("sha256").update(Buffer.from(key, "hex")).digest().subarray(0, 20);
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const letters = bits.match(/.{5}/g)!.map((five) => Number.parseInt(five, 2));
  return `psn${letters.map((at) => "abcdefghijklmnopqrstuvwxyz234567"[at]).join("")}`;
}

interface Part {
  readonly kind: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Step 1. */
function readParts(file: Buffer): Part[] {
  let offset = 0;
  const line = () => {
    const end = file.indexOf(10, offset);
    const text = file.subarray(offset, end).toString();
    offset = end + 1;
    return text;
  };
  must(line() === "psionic-run-bundle/1", "first line");
  const parts: Part[] = [];
  for (let before = zeros; ;) {
    const text = line();
    const { signature, ...head } = JSON.parse(text) as Json;
    must(canonical(JSON.parse(text)) === text, `form of line ${parts.length + 1}`);
    if (head["type"] === "psionic-run-bundle") {
      must(head["parts"] === parts.length && head["chain"] === before, "last line");
      must(isSigned(head["key"]!, head, signature!), "signature of the last line");
      must(offset === file.length, "end of the file");
      return parts;
    }
    const { chain, ...rest } = head;
    must(rest["part"] === parts.length + 1, "number of a part");
    must(digest(canonical({ ...rest, before })) === chain, `line of part ${parts.length + 1}`);
    const bytes = file.subarray(offset, offset + Number(rest["sizeBytes"]));
    must(digest(bytes) === rest["digest"], `bytes of part ${parts.length + 1}`);
    offset += bytes.length;
    must(line() === "", `end of part ${parts.length + 1}`);
    parts.push({ kind: String(rest["kind"]), name: String(rest["name"]), bytes });
    before = chain!;
  }
}

const jsonOf = ({ bytes }: Part) => JSON.parse(Buffer.from(bytes).toString()) as Json;

/** Step 2, for nodes that never rotated a key. */
function readKeys(header: Json): Map<string, string> {
  const members = header["members"] as unknown as {
    node: string;
    key: string;
    rotations: unknown[];
  }[];
  for (const { node, key } of members) must(nodeId(key) === node, `key of ${node}`);
  return new Map(members.map(({ node, key }) => [node, key]));
}

/** Step 3. */
function checkArtifacts(parts: readonly Part[]): Set<string> {
  const found = new Set<string>();
  for (const [at, part] of parts.entries()) {
    if (part.kind !== "manifest") continue;
    must(digest(part.bytes) === part.name, `manifest ${part.name}`);
    const { files, chunks, chunkBytes } = jsonOf(part) as unknown as {
      files: { path: string; sizeBytes: number }[];
      chunks: string[];
      chunkBytes: number;
    };
    let chunk = 0;
    for (const [place, { path, sizeBytes }] of files.entries()) {
      const file = parts[at + 1 + place]!;
      must(file.kind === "file" && file.name === path, `file ${path}`);
      for (let from = 0; from < sizeBytes; from += chunkBytes)
        must(digest(file.bytes.subarray(from, from + chunkBytes)) === chunks[chunk++], path);
    }
    found.add(part.name);
  }
  return found;
}

interface Told {
  readonly author: string;
  readonly atMs: number;
  readonly term: number;
  readonly chain: string;
  readonly command: Json & {
    readonly kind: string;
    readonly node: string;
    readonly statement: Json & { readonly said: Json; readonly anchor: string | null };
  };
  readonly decided: Json;
}

/** Steps 4 and 5: every statement by its node and after the one before, every event after the one before. */
function checkEvents(header: Json, keys: Map<string, string>, events: readonly Told[]): void {
  const { document, mesh, run, spec } = header;
  let chain = digest(canonical({ document, mesh, run, spec }));
  const latest = new Map<string, string>();
  const chains = new Set<string>();
  for (const [
    at,
    { author, atMs: timeMs, term, command, decided, chain: stated },
  ] of events.entries()) {
    if (command.kind === "run-stated") {
      const { signature, ...content } = command.statement;
      const type = { type: "psionic-run-statement", version: 1 };
      must(author === command.node && author === content["node"], `author of record ${at + 1}`);
      must(isSigned(keys.get(author)!, { ...type, ...content }, signature!), `record ${at + 1}`);
      must(content["previous"] === (latest.get(author) ?? null), `order of ${author}`);
      must(content["anchor"] === null || chains.has(content["anchor"]), `anchor of ${at + 1}`);
      latest.set(author, digest(canonical({ ...type, ...command.statement })));
    }
    chain = digest(canonical({ author, chain, command, decided, term, timeMs }));
    must(chain === stated, `chain of record ${at + 1}`);
    chains.add(chain);
  }
  must(chain === header["chain"], "chain of the header");
}

/** Step 6: slots apart and together all, judges drawn and of one mind, promotions stated by a quorum. */
function checkRules(header: Json, events: readonly Told[], artifacts: ReadonlySet<string>): void {
  const spec = header["spec"] as unknown as { slots: number; quorum: number; validators: number };
  const counted: number[] = [];
  let tasks: { worker: string; slices: { first: number; count: number }[] }[] = [];
  let draws: { worker: string; validators: string[] }[] = [];
  let judged = new Map<string, Set<string>>();
  let accepted: string[] = [];
  let stated = new Map<string, string>();
  for (const { author, command, decided } of events) {
    if (command.kind === "window-opened") {
      tasks = decided["tasks"]!;
      [judged, stated] = [new Map(), new Map()];
    }
    draws = (decided["draws"] as typeof draws | undefined) ?? draws;
    const said = command.kind === "run-stated" ? command.statement.said : null;
    if (said?.["saying"] === "contribution") must(artifacts.has(said["artifact"]!), "artifact");
    if (said?.["saying"] === "verdict" && said["verdict"] === "accepted") {
      const worker = String(said["worker"]);
      judged.set(worker, (judged.get(worker) ?? new Set()).add(author));
    }
    accepted = (decided["accepted"] as string[] | undefined) ?? accepted;
    if (said?.["saying"] === "revision") stated.set(author, String(said["digest"]));
    if (decided["revision"] === undefined || decided["past"] === undefined) continue;
    const promoted = (decided["revision"] as { digest: string }).digest;
    const agreeing = [...stated.values()].filter((each) => each === promoted).length;
    must(agreeing >= spec.quorum, "quorum");
    for (const worker of accepted) {
      const draw = draws.find((each) => each.worker === worker)!;
      must(draw.validators.length === spec.validators, "as many validators as the run wants");
      must(
        draw.validators.every((each) => judged.get(worker)?.has(each)),
        "all drawn accepted",
      );
      const { slices } = tasks.find((task) => task.worker === worker)!;
      for (const { first, count } of slices)
        for (let slot = first; slot < first + count; slot++) counted.push(slot);
    }
  }
  must(new Set(counted).size === counted.length, "no slot counted twice");
  must(counted.length === spec.slots, "all slots counted");
}

function verifyPublished(file: Buffer): number {
  const parts = readParts(file);
  const header = jsonOf(parts[0]!);
  const events = parts.filter(({ kind }) => kind === "record").map((part) => jsonOf(part) as never);
  const artifacts = checkArtifacts(parts);
  must(artifacts.has(header["document"]!), "document");
  checkEvents(header, readKeys(header), events);
  checkRules(header, events, artifacts);
  return events.length;
}

test("W-11 the published algorithm verifies a bundle without this program, and finds what was changed", async () => {
  const [mesh, shelf] = [new MiniMesh(3), new MemoryShelf()];
  const document = shelf.add({ "run.json": "{}" });
  await playRun(mesh, new ToyNumbers(shelf), { spec: toySpec, document });
  const bytes = await bundleBytes(sourceOf(mesh, shelf), exporterOf(mesh));
  expect(verifyPublished(Buffer.from(bytes))).toBe(mesh.records.length);
  for (let offset = 0; offset < bytes.length; offset += 37) {
    const flipped = Buffer.from(bytes);
    flipped[offset]! ^= 1;
    expect(() => verifyPublished(flipped)).toThrow();
  }
  // An order that nobody signed, told otherwise by who exports: the anchors of the statements after it disagree.
  const at = mesh.records.findIndex(({ command }) => command.kind === "window-sealed");
  const forged = mesh.records.toSpliced(at, 1);
  const retold = await bundleBytes(sourceOf(mesh, shelf, forged), exporterOf(mesh));
  expect(() => verifyPublished(Buffer.from(retold))).toThrow(Wrong);
});
