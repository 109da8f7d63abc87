import { canonicalText, digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { judgeClaims } from "./claims.ts";
import { ReceiveWindows } from "./counters.ts";
import type { Signer } from "./envelope.ts";
import { message, self } from "./message.fixture.ts";
import { admitMessage, readMessage } from "./message.ts";
import { PartBox, sliceBytes, splitBody } from "./parts.ts";
import { alice, call, mallory, nodeOf, openTables, parsed, resigned } from "./peer.fixture.ts";
import type { JsonObject } from "./signed-document.ts";

/**
 * What a hostile member, or somebody between members, may send: envelopes changed, cut, glued, made up, or
 * rightly signed and wrong inside. Drawn from a seed, so that what is found is found again.
 */

/** What came of a run. */
export interface HostileRun {
  /** How often each refusal came, by code; `admitted` for what passed everything. */
  readonly counts: Readonly<Record<string, number>>;
  /** Messages of the honest member, sent among the others, and how many of them were let in. */
  readonly honest: { readonly sent: number; readonly admitted: number };
  /** Admitted though nobody signed just this for this node, or for the second time. */
  readonly wronglyAdmitted: number;
  /** The most that incomplete messages held, and the senders remembered at the end. */
  readonly heldBytes: number;
  readonly senderCount: number;
}

type Draw = (below: number) => number;

function drawOf(seed: number): Draw {
  let state = seed;
  return (below) => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % below;
}

const words = ["psionic-message", "__proto__", "constructor", "toString", "\u2028", "😀", "", "0"];
const numbers = [0, -1, 1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e300, 5e-324, -(2 ** 31)];

function value(draw: Draw, depth = 0): unknown {
  switch (draw(depth > 6 ? 4 : 6)) {
    case 0:
      return numbers[draw(numbers.length)];
    case 1:
      return words[draw(words.length)]!.repeat(draw(20) === 0 ? 2_000 : 1);
    case 2:
      return draw(2) === 0;
    case 3:
      return null;
    case 4:
      return Array.from({ length: draw(4) }, () => value(draw, depth + 1));
    default:
      return object(draw, depth + 1);
  }
}

function object(draw: Draw, depth: number): Record<string, unknown> {
  const names = Array.from({ length: draw(4) }, () => words[draw(words.length)]! + draw(3));
  return Object.fromEntries(names.map((name) => [name, value(draw, depth)]));
}

/** Bytes changed without knowing what they mean. */
function torn(bytes: Uint8Array, draw: Draw): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const [one, other] = [draw(bytes.length), draw(bytes.length)];
  switch (draw(7)) {
    case 0:
      return copy.slice(0, one);
    case 1:
      return Uint8Array.from([...copy.slice(0, one), ...copy.slice(other)]);
    case 2:
      return Uint8Array.from([...copy, ...copy.slice(one)]);
    case 3:
      for (let index = 0; index < copy.length; index++) copy[index] = draw(256);
      return copy;
    case 4:
      return new Uint8Array(draw(70_000)).fill([0x5b, 0x7b, 0x22, 0x5c, 0x00][draw(5)]!);
    default:
      for (let times = 0; times <= draw(4); times++) copy[draw(copy.length)]! ^= 1 << draw(8);
      return copy;
  }
}

const members = [
  ...["body", "claims", "counter", "epoch", "grant", "key", "kind", "mesh", "recipient"],
  ...["sender", "signature", "type", "version", "more", "__proto__"],
];

/** One member put in, changed or taken out. */
function bent(bytes: Uint8Array, draw: Draw): Record<string, unknown> {
  const name = members[draw(members.length)]!;
  const entries = Object.entries(parsed(bytes)).filter(([each]) => each !== name);
  // Not by assignment: the name may be __proto__.
  return Object.fromEntries(draw(5) === 0 ? entries : [...entries, [name, value(draw)]]);
}

/** Who sends in a share of the run: a member that breaks every rule but that it signs as itself. */
interface Villain {
  readonly signer: Signer;
  counter: number;
  /** Raised now and then; earlier ones go on being used. */
  epoch: number;
}

/** Documents that were really signed for bob, and which of them were let in. */
interface Books {
  readonly signed: Set<string>;
  readonly admitted: Set<string>;
}

const part = splitBody({ kind: "log", body: { text: "x".repeat(2_000) } }, 1)[0]!;
/** As long as a slice may be, so that what never gets whole holds memory. */
const longSlice = Buffer.alloc(sliceBytes, "x").toString("base64");
const direct = { kind: "direct" } as const;

/** Envelopes of one member: each begins to lie anew, for a member that names a late epoch is shut out by it. */
const share = 1_000;

/**
 * Sends so many hostile envelopes, and an honest one every thousand, through everything that a message of
 * a member passes: reading, admission, parts, claims. Whatever is thrown and is no refusal passes through.
 */
export function attack(count: number, seed: number): HostileRun {
  const draw = drawOf(seed);
  const store = openTables();
  const guards = { windows: new ReceiveWindows(store), box: new PartBox() };
  const books = { signed: new Set<string>(), admitted: new Set<string>() };
  const counts: Record<string, number> = {};
  const honest = { sent: 0, admitted: 0 };
  let [wronglyAdmitted, heldBytes] = [0, 0];
  let recorded: Uint8Array = new Uint8Array();
  let villain: Villain = { signer: mallory, counter: 0, epoch: 1 };
  for (let round = 0; round < count; round++) {
    if (round % share === 0) {
      villain = { signer: nodeOf(10 + ((round / share) % 200)), counter: 0, epoch: 1 };
      recorded = message({ counter: ++honest.sent, claims: { ...claimsOf(alice) } });
      books.signed.add(digestBytes(recorded));
      if (judge(recorded, alice, guards, books, round) === "admitted") honest.admitted++;
    }
    const bytes = hostile(draw, recorded, villain, books);
    const from = draw(3) === 0 ? alice : villain.signer;
    const outcome = judge(bytes, from, guards, books, round);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (outcome === "wrongly admitted") wronglyAdmitted++;
    heldBytes = Math.max(heldBytes, guards.box.heldBytes);
  }
  const senderCount = Number(store.get("SELECT count(*) AS n FROM peer_window")!["n"]);
  store.close();
  return { counts, honest, wronglyAdmitted, heldBytes, senderCount };
}

function claimsOf({ nodeId, key }: Signer): JsonObject {
  const digests = { identityDigest: "0".repeat(64), manifestDigest: "1".repeat(64) };
  const more = { profile: "recomputable", proofPosture: "best_effort", path: direct };
  return { nodeId, publicKey: key.publicKey, ...digests, ...more };
}

/** What comes of one document over the link of a member. */
function judge(
  bytes: Uint8Array,
  from: Signer,
  { windows, box }: { readonly windows: ReceiveWindows; readonly box: PartBox },
  books: Books,
  nowMs: number,
): string {
  const proven = { node: from.nodeId, key: from.key.publicKey, epoch: 1 };
  try {
    const signed = readMessage(bytes, self);
    admitMessage(signed, { proven, windows });
    const digest = digestBytes(bytes);
    if (!books.signed.has(digest) || books.admitted.has(digest)) return "wrongly admitted";
    books.admitted.add(digest);
    const { sender, key, kind, body, claims } = signed.envelope;
    if (kind === "part") box.take(sender, body, nowMs);
    judgeClaims("best_effort", claims, { sender, key, path: direct });
    return "admitted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

function hostile(draw: Draw, recorded: Uint8Array, villain: Villain, books: Books): Uint8Array {
  switch (draw(9)) {
    case 0:
      return recorded;
    case 1:
      return call({ name: "version" });
    case 2:
      return Buffer.from(canonicalText(bent(recorded, draw)));
    case 3:
      return Buffer.from(JSON.stringify(value(draw)));
    case 4:
      return lie(draw, villain, books);
    case 5:
      return signed(draw, villain, books, { kind: "part", body: lyingPart(draw) });
    case 6:
      return signed(draw, villain, books, { claims: lyingClaims(draw, villain.signer) });
    default:
      return torn(recorded, draw);
  }
}

/** A message of the villain's own. */
function signed(
  draw: Draw,
  villain: Villain,
  books: Books,
  changes: Parameters<typeof message>[0],
): Uint8Array {
  if (draw(100) === 0) villain.epoch++;
  const epoch = Math.max(1, villain.epoch - (draw(10) === 0 ? 1 : 0));
  const bytes = message({ ...changes, epoch, counter: ++villain.counter }, villain.signer);
  books.signed.add(digestBytes(bytes));
  return bytes;
}

/** One with a member put in, changed or taken out, and signed all the same. */
function lie(draw: Draw, villain: Villain, books: Books): Uint8Array {
  const { key } = villain.signer;
  const content = bent(message({ counter: ++villain.counter }, villain.signer), draw);
  // The highest epoch there is shuts its own sender out: seldom, so that the rest is reached too.
  if (typeof content["epoch"] === "number" && draw(20) > 0) content["epoch"] = villain.epoch;
  const bytes = resigned(Buffer.from(canonicalText(content)), {}, key);
  books.signed.add(digestBytes(bytes));
  return bytes;
}

function lyingPart(draw: Draw): JsonObject {
  const names = Object.keys(part);
  if (draw(20) === 0)
    return { ...part, count: 2 + draw(63), stream: 10 + draw(6), slice: longSlice };
  const many = { ...part, count: 1 + draw(70), stream: draw(6) };
  return draw(3) === 0 ? many : { ...many, [names[draw(names.length)]!]: value(draw) };
}

function lyingClaims(draw: Draw, signer: Signer): JsonObject {
  const claims = claimsOf(draw(4) === 0 ? alice : signer);
  const names = Object.keys(claims);
  return draw(4) === 0 ? claims : { ...claims, [names[draw(names.length)]!]: value(draw) };
}
