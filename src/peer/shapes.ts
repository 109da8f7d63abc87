import * as v from "valibot";
import { isFact, type Facts } from "#src/receipt/receipt.ts";
import { isObject, type JsonObject } from "./signed-document.ts";

/** What documents between nodes are made of; each is bounded. */

const hex = (bytes: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`)));

/** 128 bits, drawn at random. */
export const callIdShape = hex(16);
/** An Ed25519 public key. */
export const keyShape = hex(32);
export const digestShape = hex(32);
export const signatureShape = hex(64);
export const nodeIdShape = v.pipe(v.string(), v.regex(/^psn[a-z2-7]{32}$/, "must be a node id"));
export const meshIdShape = v.pipe(v.string(), v.regex(/^psm[a-z2-7]{1,64}$/, "must be a mesh id"));

/** A JSON object whose members somebody else checks. */
export const objectShape = v.custom<JsonObject>(isObject, "must be an object");

/** Wall-clock milliseconds since the Unix epoch. */
export const timeShape = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** Rotations an author may attach: enough for a key a month over a year. */
export const rotationMaximum = 16;

/** A receipt as it stands; who reads it verifies it. */
const receiptShape = v.strictObject({
  type: v.literal("psionic-receipt"),
  version: v.literal(1),
  author: nodeIdShape,
  key: keyShape,
  sequence: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  previous: digestShape,
  atMs: timeShape,
  kind: v.pipe(v.string(), v.maxLength(100)),
  subject: v.pipe(v.string(), v.maxLength(200)),
  body: v.custom<Facts>((value) => isObject(value) && isFact(value), "must hold no floats"),
  signature: signatureShape,
  countersignature: v.exactOptional(v.strictObject({ key: keyShape, signature: signatureShape })),
});

export const rotationsShape = v.pipe(v.array(receiptShape), v.maxLength(rotationMaximum));
