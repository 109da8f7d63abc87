import { dispatch } from "#src/command/dispatch.ts";
import { failureResponse } from "./answer.ts";
import { answerBlob } from "./blobs.ts";
import type { HttpContext, Route } from "./route.ts";
import { failureOf } from "./bugs.ts";
import type { Door } from "./door.ts";
import { answerEvents } from "./events.ts";
import { requireOwner } from "./hygiene.ts";
import { describeDoor } from "./openapi.ts";
import { answerPeerCall } from "./peer-call.ts";
import type { Asset, HttpParts } from "./parts.ts";

/** What the door answers besides commands: status, figures, descriptions, events and the page. */
export function routes(parts: HttpParts): readonly Route[] {
  const known: Route[] = [
    {
      ...{ method: "GET", path: "/commands", summary: "The commands this caller may call." },
      answer: listCommands,
    },
    {
      ...{ method: "GET", path: "/openapi.json", summary: "This document." },
      answer: (door, context) =>
        new Response(describeDoor(door, context.var.caller, known), {
          headers: { "content-type": "application/json" },
        }),
    },
    {
      ...{ method: "GET", path: "/healthz", summary: "The process lives." },
      answer: () => json({ alive: true }),
    },
    {
      ...{ method: "GET", path: "/readyz", summary: "The node can work; 503 with reasons if not." },
      answer: ready,
    },
    {
      ...{ method: "GET", path: "/metrics", summary: "Figures in the Prometheus text format." },
      type: "text/plain",
      answer: metrics,
    },
    {
      ...{ method: "GET", path: "/events", summary: "What happens on the node, as it happens." },
      ...{ access: "owner", type: "text/event-stream", query: eventParameters },
      answer: answerEvents,
    },
    {
      ...{ method: "GET", path: "/blobs/:digest", summary: "A chunk or manifest of an artifact." },
      ...{ access: "owner", type: octets, query: [digestParameter], answer: answerBlob },
    },
    {
      ...{ method: "POST", path: "/peer", summary: "One sealed call of a peer; frames come back." },
      ...{ socketOnly: true, body: octets, type: octets },
      answer: answerPeerCall,
    },
  ];
  const page = [...parts.assets].map(([path, asset]): Route => ({
    ...{ method: "GET", path },
    answer: (_door, context) => answerAsset(asset, context),
  }));
  return [...known, ...page];
}

const octets = "application/octet-stream";

const digestParameter = {
  ...{ name: "digest", in: "path", required: true, schema: { type: "string" } },
  description: "SHA-256 of the blob, as 64 lowercase hexadecimal digits",
};

const eventParameters: Route["query"] = [
  {
    ...{ name: "topic", in: "query", schema: { type: "array", items: { type: "string" } } },
    description: "what entries are about, or the beginning of their types; all without it",
  },
  {
    ...{ name: "after", in: "query", schema: { type: "integer", minimum: 0 } },
    description: "go on after this id; Last-Event-ID does the same",
  },
];

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json" },
  });
}

/** What this caller may call: the command `commands/list`, through the gate like any other. */
async function listCommands(door: Door, context: HttpContext): Promise<Response> {
  const { registry, services } = door.parts;
  const call = {
    registry,
    services,
    caller: context.var.caller,
    signal: context.req.raw.signal,
    emit: () => {},
  };
  try {
    return json(await dispatch(call, "commands/list", {}));
  } catch (error) {
    return failureResponse(failureOf(error, "listing commands"), "json");
  }
}

/** 200 when the node can work; else 503 with the reasons, for a supervisor and its operator. */
async function ready(door: Door): Promise<Response> {
  const reasons = [
    ...(door.parts.draining() ? ["the daemon is stopping"] : []),
    ...(await door.parts.ready()),
  ];
  return json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
}

/**
 * Figures for Prometheus. On the loopback they need no token: they name no secret, only runs by id, and a
 * scraper that must hold the operator's token could do everything the operator can. A door that other
 * machines reach asks for the token.
 */
async function metrics(door: Door, context: HttpContext): Promise<Response> {
  const { metricsNeedToken } = door.parts;
  if (metricsNeedToken ?? !context.env.isLoopback) requireOwner(context.var.caller);
  const { type, text } = await door.metrics.expose(await door.parts.collectMetrics());
  return new Response(text, { headers: { "content-type": type } });
}

/** A file of the page; a browser asks each time and is told when it has it already. */
function answerAsset(asset: Asset, context: HttpContext): Response {
  const etag = `"${asset.etag}"`;
  const headers = { etag, "cache-control": "no-cache", "content-type": asset.type };
  const known = (context.req.header("if-none-match") ?? "").split(",").map((each) => each.trim());
  if (known.includes(etag) || known.includes(`W/${etag}`))
    return new Response(null, { status: 304, headers });
  return new Response(asset.body, { headers });
}
