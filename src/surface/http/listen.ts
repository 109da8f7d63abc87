import { rmSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { Refusal } from "#src/refusal/refusal.ts";
import { failureResponse } from "./answer.ts";
import { httpApp } from "./app.ts";
import { failureOf } from "./bugs.ts";
import { httpLimits } from "./limits.ts";
import type { Arrival, HttpParts } from "./parts.ts";

/** Where the door listens: a TCP address, port 0 for any free one, or a Unix socket. */
export type Where = { readonly host: string; readonly port: number } | { readonly socket: string };

export interface Listener {
  /** `http://127.0.0.1:7421`; null on a socket. */
  readonly url: string | null;
  readonly port: number | null;
  /** Takes no new connections, waits for open requests, then ends them. */
  stop(): Promise<void>;
}

const everyAddress: readonly string[] = ["0.0.0.0", "[::]"];
const loopbackHosts: readonly string[] = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Opens the HTTP door at one place. Whoever reaches the socket is the owner, so its file can be used by
 * the owner alone from the moment it exists.
 *
 * Refusals: `port_taken`, `address_unavailable`.
 */
export function listenHttp(parts: HttpParts, where: Where): Listener {
  const app = httpApp(parts);
  const closing = new AbortController();
  const stopping = new AbortController();
  const limits = { ...httpLimits, ...parts.limits };
  const bound = "socket" in where ? null : bracketed(where.host);
  const hosts = new Set<string>();
  const arrivalOn = (server: Bun.Server<undefined>): Arrival => ({
    via: bound === null ? "socket" : "tcp",
    hosts,
    ...(everyAddress.includes(bound ?? "") ? { everyAddressPort: server.port ?? 0 } : {}),
    isLoopback: bound === null || loopbackHosts.includes(bound),
    closing: closing.signal,
    stopping: stopping.signal,
    hold: (request) => server.timeout(request, 0),
  });
  const shared = {
    // A body beyond our own bound gets our own refusal; this is for what comes without a length.
    maxRequestBodySize: limits.bodyBytes * 4,
    development: false,
    // What the app itself lets through is a bug in it, told like any other.
    error: (error: Error) => failureResponse(failureOf(error, "answering a request"), "json"),
    fetch: async (request: Request, server: Bun.Server<undefined>) => {
      await parts.opened;
      return app.fetch(request, arrivalOn(server));
    },
  };
  const server = bind(where, () =>
    "socket" in where
      ? privately(() => Bun.serve({ ...shared, unix: where.socket }))
      : Bun.serve({
          ...shared,
          // Bun lets two programs share a port unless told otherwise where `development` is false.
          reusePort: false,
          idleTimeout: limits.idleTimeSeconds,
          hostname: where.host,
          port: where.port,
        }),
  );
  const port = server.port ?? null;
  if (bound !== null && port !== null)
    for (const host of new Set([bound, ...loopbackHosts, ...ownNames(bound)]))
      hosts.add(`${host}:${port}`);
  return {
    url: bound === null ? null : `http://${bound}:${port}`,
    port: bound === null ? null : port,
    async stop() {
      closing.abort();
      const closed = server.stop(false);
      const late = new Promise<void>((resolve) => {
        setTimeout(resolve, limits.drainMs).unref();
      });
      await Promise.race([closed, late]);
      stopping.abort();
      await server.stop(true);
      if ("socket" in where) rmSync(where.socket, { force: true });
    },
  };
}

/** Bound to every address, the machine may be called by each of them and by its name. */
function ownNames(bound: string): string[] {
  if (bound !== "0.0.0.0" && bound !== "[::]") return [];
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return [hostname().toLowerCase(), ...addresses.map(({ address }) => bracketed(address))];
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[")
    ? `[${host.toLowerCase()}]`
    : host.toLowerCase();
}

/** Makes files that only this user can use: the mask holds when the socket is made, without a gap. */
function privately<T>(work: () => T): T {
  const mask = process.umask(0o177);
  try {
    return work();
  } finally {
    process.umask(mask);
  }
}

function bind<T>(where: Where, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code = "", message } = error as { code?: string; message: string };
    const place = "socket" in where ? where.socket : `${where.host}:${where.port}`;
    if (code === "EADDRINUSE")
      throw new Refusal(
        "port_taken",
        `something else listens on ${place}`,
        "stop it, or take any free port with --port 0",
        { place },
      );
    throw new Refusal(
      "address_unavailable",
      `this machine does not let psionic listen on ${place}: ${code || message}`,
      "choose another address with --host or --port",
      { place, code },
    );
  }
}
