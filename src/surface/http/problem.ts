import { codes } from "#src/refusal/codes.ts";
import type { Refusal } from "#src/refusal/refusal.ts";

/** Seconds after which a refusal that may pass by itself is worth another try. */
const retryAfterSeconds = 1;

/** A refusal as an RFC 9457 problem document: its own members follow the standard ones. */
export function problemOf(refusal: Refusal) {
  const { code, message, hint, retryable, details } = refusal;
  return {
    type: `urn:psionic:refusal:${code}`,
    title: titleOf(code),
    status: codes[code].http,
    detail: message,
    code,
    hint,
    retryable,
    details,
  };
}

/** What the code means, without what usually helps: its explanation's first sentence. */
export function titleOf(code: keyof typeof codes): string {
  return codes[code].explanation.split(/(?<=\.)\s/)[0]!;
}

/** A bug as a problem document. What went wrong is in the log under the id, and only there. */
export function bugProblem(id: string) {
  return {
    type: "urn:psionic:bug",
    title: "psionic has a bug.",
    status: 500,
    detail: bugMessage(id),
    code: "bug",
    hint: `look for ${id} in the log`,
    retryable: false,
    details: { id },
  };
}

export function bugMessage(id: string): string {
  return `something went wrong inside; the log has it as ${id}`;
}

/** Headers that go with a refusal besides its media type. */
export function refusalHeaders(refusal: Refusal): Record<string, string> {
  const status: number = codes[refusal.code].http;
  return {
    ...(status === 401 ? { "www-authenticate": 'Bearer realm="psionic"' } : {}),
    ...(status === 503 && refusal.retryable ? { "retry-after": String(retryAfterSeconds) } : {}),
    ...(closesConnection.has(refusal.code) ? { connection: "close" } : {}),
  };
}

/** After these a body may still be on its way, which nobody will read. */
const closesConnection: ReadonlySet<string> = new Set([
  ...["body_too_large", "body_slow", "headers_too_large", "host_wrong", "origin_wrong"],
  ...["token_wrong", "door_busy", "media_type_wrong", "method_wrong"],
]);
