import { judge } from "#src/command/gate.ts";
import { digestShape } from "#src/artifact/manifest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Places, type Door } from "./door.ts";
import type { HttpContext } from "./route.ts";

/** Blobs being sent at the same time: each is a chunk in memory, which Bun sends while we do other things. */
const blobsMaximum = 16;
/** Bytes handed to the connection at a time, so that a client that does not read holds a place, no more. */
const pieceBytes = 1024 * 1024;

const places = new WeakMap<Door, Places>();

function placesOf(door: Door): Places {
  let known = places.get(door);
  if (known === undefined) places.set(door, (known = new Places(blobsMaximum, "blobs")));
  return known;
}

/**
 * `GET /blobs/<digest>`: a chunk or manifest of this home, proven before its first byte goes out, for
 * members of the mesh and above. What is under a digest never changes, so it is its own ETag.
 *
 * Refusals: those of the gate, `artifact_unknown`, `artifact_damaged`, `door_busy`.
 */
export async function answerBlob(door: Door, context: HttpContext): Promise<Response> {
  const { services } = door.parts;
  const judgement = judge(context.var.caller, { name: "blobs", access: "member" }, services);
  if (judgement.by === null) throw judgement.refusal;
  const digest = context.req.param("digest") ?? "";
  if (!digestShape.test(digest))
    throw new Refusal(
      "artifact_unknown",
      "a blob's address ends with a digest of 64 hexadecimal digits",
      "`psionic artifact show` names the chunks of an artifact",
    );
  const release = placesOf(door).take();
  try {
    const shelf = await services.artifacts.open();
    const etag = `"${digest}"`;
    const headers = {
      etag,
      "accept-ranges": "bytes",
      "cache-control": "private, max-age=31536000, immutable",
      "content-type": "application/octet-stream",
    };
    const { bytes } = await shelf.readBlob(digest);
    const { method } = context.req;
    const known = (context.req.header("if-none-match") ?? "").split(",").map((each) => each.trim());
    if (known.includes(etag) || method === "HEAD") {
      release();
      const status = known.includes(etag) ? 304 : 200;
      const length = { "content-length": String(bytes.byteLength) };
      return new Response(null, { status, headers: { ...headers, ...length } });
    }
    const range = rangeOf(context.req.header("range"), context.req.header("if-range"), etag, bytes);
    if (range === "unsatisfiable") {
      release();
      return new Response(null, {
        ...{ status: 416, headers: { ...headers, "content-range": `bytes */${bytes.byteLength}` } },
      });
    }
    const body = bytes.subarray(range.start, range.end);
    return new Response(inPieces(body, release, context.req.raw.signal), {
      status: range.isWhole ? 200 : 206,
      headers: {
        ...headers,
        "content-length": String(body.byteLength),
        ...(range.isWhole
          ? {}
          : { "content-range": `bytes ${range.start}-${range.end - 1}/${bytes.byteLength}` }),
      },
    });
  } catch (error) {
    release();
    throw error;
  }
}

interface ByteRange {
  readonly start: number;
  /** One after the last byte. */
  readonly end: number;
  readonly isWhole: boolean;
}

/** One range as RFC 9110 has it; several, or what is no range, is answered with the whole. */
export function rangeOf(
  header: string | undefined,
  ifRange: string | undefined,
  etag: string,
  { byteLength }: Uint8Array,
): ByteRange | "unsatisfiable" {
  const whole = { start: 0, end: byteLength, isWhole: true };
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "");
  if (match === null || (ifRange !== undefined && ifRange !== etag)) return whole;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return whole;
  if (first === "") {
    const count = Math.min(Number(last), byteLength);
    if (count === 0) return "unsatisfiable";
    return { start: byteLength - count, end: byteLength, isWhole: false };
  }
  const start = Number(first);
  const end = last === "" ? byteLength : Math.min(Number(last) + 1, byteLength);
  if (last !== "" && Number(last) < start) return whole;
  return start >= byteLength ? "unsatisfiable" : { start, end, isWhole: false };
}

/** The bytes as fast as the client reads them; the place is given back when it has them or has gone. */
function inPieces(bytes: Uint8Array, release: () => void, signal: AbortSignal): ReadableStream {
  let offset = 0;
  signal.addEventListener("abort", release, { once: true });
  return new ReadableStream(
    {
      pull(controller) {
        if (offset < bytes.byteLength) {
          controller.enqueue(bytes.subarray(offset, offset + pieceBytes));
          offset += pieceBytes;
        }
        if (offset < bytes.byteLength) return;
        controller.close();
        release();
      },
      cancel: release,
    },
    { highWaterMark: 0 },
  );
}
