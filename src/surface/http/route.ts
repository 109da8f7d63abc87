import type { Context } from "hono";
import type { Caller } from "#src/command/caller.ts";
import type { Door } from "./door.ts";
import type { Arrival } from "./parts.ts";

/** What a request carries through the app. */
export interface HttpEnvironment {
  Bindings: Arrival;
  Variables: { caller: Caller; route: string };
}

export type HttpContext = Context<HttpEnvironment>;

/** One thing the door answers besides commands. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** For the OpenAPI document, which leaves out what has none. */
  readonly summary?: string;
  /** `owner`: needs the token, or the socket. */
  readonly access?: "safe" | "owner";
  readonly socketOnly?: boolean;
  /** Media types of the answer and of the body, where they are not JSON and none. */
  readonly type?: string;
  readonly body?: string;
  /** What its query takes, as OpenAPI parameters. */
  readonly query?: readonly Readonly<Record<string, unknown>>[];
  answer(door: Door, context: HttpContext): Promise<Response> | Response;
}
