import { Refusal } from "#src/refusal/refusal.ts";
import type { RotationsFile } from "./key-files.ts";
import type { Receipt } from "./receipt.ts";
import { historyEndingIn, type KeyHistory } from "./rotation.ts";
import { nodeIdOf } from "./signature.ts";

/**
 * The rotations in the home's own database, of every author, in chain order. Asked only where the key
 * files alone leave a question open.
 */
export type ChainEvidence = () => readonly Receipt[];

export interface HistoryQuestion {
  /** The public key that is here. */
  readonly key: string;
  /** What lies in rotations.json, and where that is. */
  readonly file: RotationsFile | "missing" | "corrupt";
  readonly path: string;
  /** The node id in the descriptor; null where none can be read. */
  readonly describedId: string | null;
  readonly chain: ChainEvidence;
}

export interface FoundHistory {
  readonly nodeId: string;
  readonly rotations: readonly Receipt[];
  /** True where the chain proved what the file no longer does: the file is to be written again. */
  readonly isHealed: boolean;
}

/**
 * Whose key this is. A history that verifies and ends with the key decides; else the chain where it
 * proves one; else the key is a node's first, unless something says that it is not. Refusals:
 * `identity_history_wrong`, `identity_history_missing`.
 */
export function findHistory(question: HistoryQuestion): FoundHistory {
  const { key, file, path, describedId, chain } = question;
  const ownId = nodeIdOf(key);
  if (file === "missing" && describedId === ownId) return asFirstKey(ownId);
  const why = typeof file === "string" ? `it is ${file}` : whyWrong(file, key);
  if (why === null) {
    const { nodeId, rotations } = file as RotationsFile;
    return { nodeId, rotations, isHealed: false };
  }
  const proven = provenBy(chain(), key);
  if (proven !== null) return { ...proven, isHealed: true };
  if (file !== "missing") throw historyWrong(path, why);
  if (describedId !== null) throw historyMissing(path, describedId, ownId);
  return asFirstKey(ownId);
}

function asFirstKey(nodeId: string): FoundHistory {
  return { nodeId, rotations: [], isHealed: false };
}

/** Why a history does not say whose key this is; null where it does. */
function whyWrong(file: RotationsFile, key: string): string | null {
  try {
    const history = historyEndingIn(key, file.rotations);
    return history.nodeId === file.nodeId ? null : `it is not that of ${file.nodeId}`;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

/** The history that the rotations of a chain prove for a key; null where they do not. */
export function provenBy(rotations: readonly Receipt[], key: string): KeyHistory | null {
  const author = rotations.findLast(({ body }) => body["to"] === key)?.author;
  if (author === undefined) return null;
  try {
    return historyEndingIn(
      key,
      rotations.filter((rotation) => rotation.author === author),
    );
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

function historyWrong(path: string, why: string): Refusal {
  return new Refusal(
    "identity_history_wrong",
    `the history of keys in ${path} does not hold: ${why}`,
    "restore it with `psionic identity restore FILE`",
    { path },
  );
}

function historyMissing(path: string, described: string, own: string): Refusal {
  return new Refusal(
    "identity_history_missing",
    `this home belongs to ${described}, its key alone to ${own}, and ${path} is missing`,
    "restore it with `psionic identity restore FILE`",
    { path, described, own },
  );
}
