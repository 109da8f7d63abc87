import { Refusal } from "#src/refusal/refusal.ts";
import type { HttpLimits } from "./limits.ts";

/**
 * Reads a request's whole body, bounded in size and time. A client that sends its body a byte at a
 * time is cut off at the same moment as one that sends nothing.
 *
 * Refusals: `body_too_large`, `body_slow`, `interrupted` when the client went away.
 */
export async function readBody(
  request: Request,
  limits: Pick<HttpLimits, "bodyBytes" | "bodyTimeMs">,
): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? "0");
  if (announced > limits.bodyBytes) throw tooLarge(limits.bodyBytes);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(slow(limits.bodyTimeMs)), limits.bodyTimeMs);
  });
  try {
    return await Promise.race([readAll(reader, limits.bodyBytes), late]);
  } catch (error) {
    void reader.cancel().catch(() => {});
    throw error instanceof Refusal ? error : broken();
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(
  reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read">,
  maximumBytes: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces);
    sizeBytes += value.length;
    if (sizeBytes > maximumBytes) throw tooLarge(maximumBytes);
    pieces.push(value);
  }
}

/** The JSON object a body holds; an empty body is an empty object. Refused with `usage`. */
export function parseObject(body: Uint8Array): Record<string, unknown> {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw notAnObject("the body is not valid JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw notAnObject("the body is JSON, but not an object");
  return value as Record<string, unknown>;
}

function notAnObject(message: string): Refusal {
  return new Refusal(
    "usage",
    message,
    "send the parameters as one JSON object, or no body for none",
  );
}

function tooLarge(maximumBytes: number): Refusal {
  return new Refusal(
    "body_too_large",
    `the body is larger than ${maximumBytes} bytes`,
    "send less; name large things by path or digest",
    { maximumBytes },
  );
}

function slow(maximumMs: number): Refusal {
  return new Refusal(
    "body_slow",
    `the body did not arrive within ${maximumMs} ms`,
    "send the whole body at once",
    { maximumMs },
  );
}

function broken(): Refusal {
  return new Refusal(
    "interrupted",
    "the client went away before its body had arrived",
    "send the request again",
  );
}
