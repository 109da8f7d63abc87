import { canonicalText, digestJson, type Digest } from "#src/codec/digest.ts";
import { signBytes, verifyBytes, type SigningKey } from "#src/receipt/signature.ts";
import type { Statement } from "./event.ts";

/**
 * What a node says of its own work in a run: signed by the key the mesh knows of it, and chained, so that nobody can
 * take a statement out, change one or tell two stories.
 */

export type UnsignedStatement = Omit<Statement, "signature">;

function contentOf({ mesh, run, node, previous, anchor, said }: UnsignedStatement): Uint8Array {
  const content = { type: "psionic-run-statement", version: 1 };
  return Buffer.from(canonicalText({ ...content, mesh, run, node, previous, anchor, said }));
}

export function signStatement(key: SigningKey, unsigned: UnsignedStatement): Statement {
  const signature = Buffer.from(signBytes(key, contentOf(unsigned))).toString("hex");
  return { ...unsigned, signature };
}

/** Whether the holder of a public key signed it. */
export function isSignedBy(publicKey: string, statement: Statement): boolean {
  return verifyBytes(publicKey, contentOf(statement), Buffer.from(statement.signature, "hex"));
}

/** By which the node's next statement names this one. */
export function statementDigest(statement: Statement): Digest {
  return digestJson({ type: "psionic-run-statement", version: 1, ...statement });
}
