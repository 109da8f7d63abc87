import { digestShape } from "#src/artifact/manifest.ts";
import type { Shelf } from "#src/artifact/shelf.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Bytes handed to the connection at a time, so that a client that does not read holds a place, no more. */
const pieceBytes = 1024 * 1024;

/**
 * Answers `GET /blobs/<digest>` for somebody who may: a chunk or manifest of this home, proven before its
 * first byte goes out. What is under a digest never changes, so it is its own ETag. `release` gives the
 * place back that this answer takes: once it is sent, when the client goes away, and when it is refused.
 *
 * Refusals: `artifact_unknown`, `artifact_damaged`.
 */
export async function answerBlobRequest(
  open: () => Promise<Pick<Shelf, "readBlob">>,
  digest: string,
  request: Request,
  release: () => void,
): Promise<Response> {
  try {
    if (!digestShape.test(digest)) throw noDigest();
    const shelf = await open();
    const { bytes } = await shelf.readBlob(digest);
    return answerBytes(bytes, digest, request, release);
  } catch (error) {
    release();
    throw error;
  }
}

function answerBytes(
  bytes: Uint8Array,
  digest: string,
  request: Request,
  release: () => void,
): Response {
  const etag = `"${digest}"`;
  const headers = {
    etag,
    "accept-ranges": "bytes",
    "cache-control": "private, max-age=31536000, immutable",
    "content-type": "application/octet-stream",
  };
  const asked = (name: string) => request.headers.get(name) ?? undefined;
  const known = (asked("if-none-match") ?? "").split(",").map((each) => each.trim());
  if (known.includes(etag) || request.method === "HEAD") {
    release();
    const status = known.includes(etag) ? 304 : 200;
    const length = { "content-length": String(bytes.byteLength) };
    return new Response(null, { status, headers: { ...headers, ...length } });
  }
  const range = rangeOf(asked("range"), asked("if-range"), etag, bytes);
  if (range === "unsatisfiable") {
    release();
    return new Response(null, {
      ...{ status: 416, headers: { ...headers, "content-range": `bytes */${bytes.byteLength}` } },
    });
  }
  const body = bytes.subarray(range.start, range.end);
  return new Response(inPieces(body, release, request.signal), {
    status: range.isWhole ? 200 : 206,
    headers: {
      ...headers,
      "content-length": String(body.byteLength),
      ...(range.isWhole
        ? {}
        : { "content-range": `bytes ${range.start}-${range.end - 1}/${bytes.byteLength}` }),
    },
  });
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

function noDigest(): Refusal {
  return new Refusal(
    "artifact_unknown",
    "a blob's address ends with a digest of 64 hexadecimal digits",
    "`psionic artifact show` names the chunks of an artifact",
  );
}
