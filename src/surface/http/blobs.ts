import { judge } from "#src/command/gate.ts";
import { answerBlobRequest } from "../blob-answer.ts";
import { Places, type Door } from "./door.ts";
import type { HttpContext } from "./route.ts";

/** Blobs being sent at the same time: each is a chunk in memory, which Bun sends while we do other things. */
const blobsMaximum = 16;

const places = new WeakMap<Door, Places>();

function placesOf(door: Door): Places {
  let known = places.get(door);
  if (known === undefined) places.set(door, (known = new Places(blobsMaximum, "blobs")));
  return known;
}

/**
 * `GET /blobs/<digest>` for members of the mesh and above (src/surface/blob-answer.ts).
 *
 * Refusals: those of the gate, `artifact_unknown`, `artifact_damaged`, `door_busy`.
 */
export async function answerBlob(door: Door, context: HttpContext): Promise<Response> {
  const { services } = door.parts;
  const judgement = judge(context.var.caller, { name: "blobs", access: "member" }, services);
  if (judgement.by === null) throw judgement.refusal;
  const digest = context.req.param("digest") ?? "";
  const release = placesOf(door).take();
  return answerBlobRequest(() => services.artifacts.open(), digest, context.req.raw, release);
}
