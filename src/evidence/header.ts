import * as v from "valibot";
import { canonicalText, type Digest } from "#src/codec/digest.ts";
import { nodeIdSchema, publicKeySchema, receiptSchema } from "#src/receipt/parse-receipt.ts";
import { isFact } from "#src/receipt/receipt.ts";
import { readHistory, rotationMaximum, type KeyHistory } from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runCommands, shapes, specSchema } from "#src/window/event.ts";
import type { RunRecord } from "#src/window/services.ts";
import { linkBroken } from "./parts.ts";

/** Nodes whose keys a bundle holds. */
export const memberMaximum = 1_024;
/** Contributions that nobody had any more when the bundle was written, rejected ones. */
const missingMaximum = 65_536;

/** A node of the run: its first key gives its id, rotations lead to its later keys. */
const memberSchema = v.strictObject({
  node: nodeIdSchema,
  key: publicKeySchema,
  rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
});

const headerSchema = v.strictObject({
  format: v.literal("psionic-run-evidence/1"),
  mesh: shapes.node,
  run: shapes.run,
  name: shapes.runName,
  author: nodeIdSchema,
  /** The artifact with the run's document. */
  document: shapes.digest,
  spec: specSchema,
  /** By ascending node; everybody who signed something in it. */
  members: v.pipe(v.array(memberSchema), v.maxLength(memberMaximum)),
  /** Events of the run, and its chain after the last of them. */
  records: v.pipe(shapes.natural, v.minValue(1)),
  chain: shapes.digest,
  /** Artifacts of contributions that counted for nothing and could not be had any more, ascending. */
  missing: v.pipe(v.array(shapes.digest), v.maxLength(missingMaximum)),
});
export type EvidenceHeader = v.InferOutput<typeof headerSchema>;

const recordSchema = v.strictObject({
  run: shapes.run,
  index: shapes.natural,
  term: shapes.natural,
  atMs: shapes.natural,
  author: shapes.node,
  command: v.variant("kind", [...runCommands]),
  decided: v.custom<unknown>(isFact, "must be text, integers, truth values, lists and objects"),
  chain: shapes.digest,
});

export function headerText(header: EvidenceHeader): string {
  return canonicalText(header);
}

export function recordText(record: RunRecord): string {
  const { run, index, term, atMs, author, command, decided, chain } = record;
  return canonicalText({ run, index, term, atMs, author, command, decided, chain });
}

/** Refused with `evidence_broken`. */
export function readHeader(bytes: Uint8Array): EvidenceHeader {
  return readAs(headerSchema, bytes, "the header");
}

/** Refused with `evidence_broken` under the record's number, from 1. */
export function readRecord(bytes: Uint8Array, number: number): RunRecord {
  return readAs(recordSchema, bytes, `record ${number}`);
}

function readAs<Schema extends v.GenericSchema>(
  schema: Schema,
  bytes: Uint8Array,
  link: string,
): v.InferOutput<Schema> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch {
    throw linkBroken(link, "it is no JSON");
  }
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? "";
    throw linkBroken(link, `${path === "" ? "it" : path} is not understood: ${issue.message}`);
  }
  if (canonicalText(parsed.output) === text) return parsed.output;
  throw linkBroken(link, "its text is not in canonical form");
}

/**
 * The keys of each node: its id is the digest of its first key, and every later key was introduced by the one
 * before. Refused with `evidence_broken` under the node.
 */
export function readKeys(header: EvidenceHeader): ReadonlyMap<string, KeyHistory> {
  const keys = new Map<string, KeyHistory>();
  let before = "";
  for (const { node, key, rotations } of header.members) {
    const link = `the keys of ${node}`;
    if (node <= before) throw linkBroken(link, "members do not stand in ascending order");
    before = node;
    try {
      const history = readHistory(key, rotations);
      if (history.nodeId !== node)
        throw linkBroken(link, `key ${key} makes another node: ${history.nodeId}`);
      keys.set(node, history);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code === "evidence_broken") throw error;
      throw linkBroken(link, error.message, { cause: error.code });
    }
  }
  return keys;
}

/** Whether one of the keys a node ever had is this. */
export function hasKey(history: KeyHistory, key: Digest): boolean {
  return history.keys.some((each) => each.key === key);
}
