import { createHash, timingSafeEqual } from "node:crypto";
import type { Caller } from "#src/command/caller.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { networkModules } from "../network-modules.ts";
import type { HttpLimits } from "./limits.ts";
import type { Arrival } from "./parts.ts";

/**
 * On every answer. The page loads only its own files, runs no inline code, sits in no frame; nothing is
 * kept by caches and no other site reads anything, for there is no CORS header at all.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Refuses with `headers_too_large` what no client of this door needs to send. */
export function checkSize(request: Request, limits: HttpLimits): void {
  let count = 0;
  let sizeBytes = 0;
  for (const [name, value] of request.headers) {
    count += 1;
    sizeBytes += name.length + value.length;
  }
  const addressBytes = request.url.length;
  if (
    count <= limits.headerCount &&
    sizeBytes <= limits.headerBytes &&
    addressBytes <= limits.addressBytes
  )
    return;
  throw new Refusal(
    "headers_too_large",
    "the headers or the address of the request are too large",
    "send parameters in the body, and only the headers that are needed",
    {
      count,
      sizeBytes,
      addressBytes,
      maximum: {
        count: limits.headerCount,
        sizeBytes: limits.headerBytes,
        addressBytes: limits.addressBytes,
      },
    },
  );
}

/**
 * Refuses what a browser was tricked into sending: with `host_wrong` a request whose Host does not
 * name this door (DNS rebinding), with `origin_wrong` one that another site's page sends.
 */
export function checkSource(request: Request, arrival: Arrival): void {
  const host = (request.headers.get("host") ?? "").toLowerCase();
  if (arrival.via === "tcp" && !namesDoor(host, arrival))
    throw new Refusal(
      "host_wrong",
      "the Host header does not name this door",
      `address it as ${[...arrival.hosts][0] ?? "it was bound"}`,
    );
  const origin = request.headers.get("origin");
  if (origin !== null && origin.toLowerCase() !== `http://${host}`)
    throw new Refusal(
      "origin_wrong",
      "the request comes from a page of another origin",
      "use the page this node serves, or a client that is no browser",
    );
}

function namesDoor(host: string, { hosts, everyAddressPort }: Arrival): boolean {
  if (hosts.has(host)) return true;
  const [, bracketed, plain = "", port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(host) ?? [];
  return Number(port) === everyAddressPort && networkModules.net.isIP(bracketed ?? plain) !== 0;
}

/**
 * Who calls, by how the request came: the owner on the socket; over TCP the owner with the
 * operator's token, anybody without. A token that is not the operator's is refused with `token_wrong`
 * rather than taken for none.
 */
export function callerOf(request: Request, arrival: Arrival, token: string): Caller {
  if (arrival.via === "socket") return { provenance: "local" };
  const authorization = request.headers.get("authorization");
  if (authorization === null) return { provenance: "anonymous" };
  const presented = /^bearer +(\S+)$/i.exec(authorization.trim())?.[1] ?? "";
  if (isSameToken(presented, token)) return { provenance: "token" };
  throw new Refusal(
    "token_wrong",
    "the bearer token is not this node's",
    "read it anew from identity/operator.token in the node's home",
  );
}

/** Compares digests, so that neither the length nor the first wrong character shows in the time. */
export function isSameToken(presented: string, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text, "utf8").digest();
  return timingSafeEqual(digest(presented), digest(token));
}

/** Refuses with `token_needed` whoever is neither local nor has the token. */
export function requireOwner(caller: Caller): void {
  if (caller.provenance === "local" || caller.provenance === "token") return;
  throw new Refusal(
    "token_needed",
    "this needs the operator's token",
    "send Authorization: Bearer with what identity/operator.token in the node's home holds",
  );
}
