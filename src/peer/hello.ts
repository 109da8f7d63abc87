import * as v from "valibot";
import { canonicalText, type Digest } from "#src/codec/digest.ts";
import type { Random } from "#src/port/random.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { PeerTrust, Signer } from "./envelope.ts";
import { keyInUse } from "./key-in-use.ts";
import {
  callIdShape,
  digestShape,
  keyShape,
  meshIdShape,
  nodeIdShape,
  rotationsShape,
  signatureShape,
} from "./shapes.ts";
import {
  isSigned,
  malformed,
  readCanonical,
  signDocument,
  type JsonObject,
} from "./signed-document.ts";

/**
 * Who is there: the first exchange over a line. The caller sends a fresh challenge and the node signs
 * it with what it is, so a recorded hello proves nothing to the next caller.
 */

const questionSchema = v.strictObject({
  type: v.literal("psionic-hello-question"),
  version: v.literal(1),
  /** 128 bits, drawn for this one exchange. */
  challenge: callIdShape,
});

const helloSchema = v.strictObject({
  type: v.literal("psionic-hello"),
  version: v.literal(1),
  challenge: callIdShape,
  /** Node id of who is there. */
  sender: nodeIdShape,
  key: keyShape,
  rotations: rotationsShape,
  /** The mesh the node belongs to. */
  mesh: meshIdShape,
  /** Over a network: SHA-256 of the TLS certificate of the connection, as the sender sees it. */
  certificate: v.optional(digestShape),
  signature: signatureShape,
});

export type Hello = v.InferOutput<typeof helloSchema>;

/** A fresh question, and the challenge in it. */
export function askHello(random: Random): {
  readonly bytes: Uint8Array;
  readonly challenge: string;
} {
  const challenge = Buffer.from(random.bytes(16)).toString("hex");
  const question = { type: "psionic-hello-question", version: 1, challenge };
  return { bytes: Buffer.from(canonicalText(question)), challenge };
}

/** True for a document that asks who is there, well-formed or not. */
export function isHelloQuestion(document: JsonObject): boolean {
  return document["type"] === "psionic-hello-question";
}

/** The signed answer to a question. Refused with `envelope_malformed`. */
export function answerHello(
  question: JsonObject,
  self: Signer,
  facts: {
    readonly rotations: readonly Receipt[];
    readonly mesh: string;
    readonly certificate?: Digest;
  },
): Uint8Array {
  const parsed = v.safeParse(questionSchema, question);
  if (!parsed.success) throw malformed(parsed.issues[0].message);
  const { challenge } = parsed.output;
  return signDocument(
    {
      ...{ type: "psionic-hello", version: 1, challenge, ...facts },
      sender: self.nodeId,
      key: self.key.publicKey,
    },
    self.key,
  );
}

/**
 * Reads the answer: signed over this challenge by a key that is the node's. Refused with
 * `hello_forged`, and as `keyInUse` refuses.
 */
export function readHello(
  bytes: Uint8Array,
  challenge: string,
  nowMs: number,
  trust: Pick<PeerTrust, "find">,
): Hello {
  const document = readCanonical(bytes);
  const parsed = v.safeParse(helloSchema, document);
  if (!parsed.success) throw forged("it is no hello");
  const hello = parsed.output;
  if (!isSigned(document)) throw forged("its signature is wrong");
  if (hello.challenge !== challenge) throw forged("it answers another question");
  keyInUse(hello, trust.find(hello.sender)?.history ?? [], nowMs);
  return hello;
}

/**
 * Refuses a hello that was signed for another connection than the one it came over, with
 * `channel_unbound`: somebody with a certificate of his own stands in between and passes things on.
 */
export function checkChannel(hello: Hello, certificate: Digest): void {
  if (hello.certificate === certificate) return;
  throw new Refusal(
    "channel_unbound",
    `${hello.sender} did not sign the certificate of this connection: something stands in between`,
    "compare the fingerprint with `psionic identity show` on that machine, and pin that one with --pin",
    { nodeId: hello.sender, seen: certificate, signed: hello.certificate ?? null },
  );
}

function forged(why: string): Refusal {
  return new Refusal(
    "hello_forged",
    `who is at the other end cannot be proved: ${why}`,
    "check the command line after --via, which must end in `psionic peer pipe`, or the address after --at; nothing may change what passes",
  );
}
