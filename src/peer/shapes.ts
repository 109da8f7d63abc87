import * as v from "valibot";
import { receiptSchema } from "#src/receipt/parse-receipt.ts";
import { rotationMaximum } from "#src/receipt/rotation.ts";
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

/** The rotations of a key from its node's first one on, oldest first; who reads them verifies them. */
export const rotationsShape = v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum));
