import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { byteSizeShape, bytesOf } from "./byte-size.ts";
import { pointerNameSchema } from "./pointers.ts";

export const artifactParameter = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(200),
  v.description("the artifact: its digest, eight or more characters of it, or a name"),
);

export const nameParameter = v.optional(
  v.pipe(pointerNameSchema, v.description("a name that keeps it, as in run/r1/checkpoint/500")),
);

export const quotaParameter = v.optional(
  v.pipe(
    v.string(),
    v.regex(byteSizeShape, "a size looks like 500MB or 20GB"),
    v.description(
      "most that all artifacts of this home may take, as in 20GB; else the disk's room",
    ),
  ),
);

export const quotaBytesOf = (quota: string | undefined) =>
  quota === undefined ? null : bytesOf(quota);

/** Receipts need the node's key; a new home gets one, as with its first training. */
export async function ensureIdentity(services: Services): Promise<void> {
  try {
    await services.identity.open();
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "identity_absent") throw error;
    services.lock();
    await services.identity.openOrCreate();
  }
}
