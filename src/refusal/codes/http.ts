import { entry, type CodeEntry } from "./entry.ts";

/** The HTTP door: who asks, and requests that are not understood. */
export const httpCodes = {
  token_wrong: entry(
    12,
    401,
    false,
    "The token is not one that opens this door. Of a bearer token: it is not this node's. Read it from identity/operator.token in the node's home; it changes when that file is removed and the daemon starts again. Of a join token: the mesh does not know it, its secret is another, it was revoked, or it is not for the roles asked for; make a new one.",
  ),
  token_needed: entry(
    12,
    401,
    false,
    "This part of the HTTP door is for the owner. Send the operator's token as a bearer token, or use the Unix socket.",
  ),
  host_wrong: entry(
    12,
    421,
    false,
    "The Host header of a request does not name this node, as when a foreign name was made to point at it. Address it as it was bound: by default 127.0.0.1 or localhost with the port.",
  ),
  origin_wrong: entry(
    12,
    403,
    false,
    "A browser sent the request from a page that this node did not serve. Other sites may not use it.",
  ),
  method_wrong: entry(
    2,
    405,
    false,
    "The address exists, but not with that HTTP method. The Allow header names those it takes; commands are called with POST.",
  ),
  media_type_wrong: entry(
    2,
    415,
    false,
    "The body of a request is not announced as JSON in UTF-8. Send Content-Type: application/json.",
  ),
  answer_form_wrong: entry(
    2,
    406,
    false,
    "The Accept header takes none of the forms an answer can have: application/json, application/x-ndjson or text/event-stream.",
  ),
  body_too_large: entry(
    2,
    413,
    false,
    "The body of a request is larger than a command's parameters ever are. Name large things by path or digest.",
  ),
  body_slow: entry(2, 408, true, "The body of a request did not arrive in time. Send it at once."),
  headers_too_large: entry(
    2,
    431,
    false,
    "The headers or the address of a request are larger, or more, than any client of this node needs. Send parameters in the body.",
  ),
  door_busy: entry(
    11,
    503,
    true,
    "As many calls, streams or requests are open as the node allows at the same time. Try again in a moment.",
  ),
} as const satisfies Record<string, CodeEntry>;
