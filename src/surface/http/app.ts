import { Hono } from "hono";
import { Refusal } from "#src/refusal/refusal.ts";
import { failureResponse, formOf, type AnswerForm } from "./answer.ts";
import { failureOf } from "./bugs.ts";
import { answerCommand } from "./call.ts";
import { doorOf, type Door } from "./door.ts";
import { callerOf, checkSize, checkSource, securityHeaders } from "./hygiene.ts";
import type { HttpParts } from "./parts.ts";
import type { HttpContext, HttpEnvironment, Route } from "./route.ts";
import { routes } from "./routes.ts";

/**
 * The HTTP door: commands by one rule, and the few routes of `routes.ts`. Every request passes the
 * same checks before any route sees it, and every answer carries the same headers.
 */
export function httpApp(parts: HttpParts): Hono<HttpEnvironment> {
  const door = doorOf(parts);
  const app = new Hono<HttpEnvironment>();
  app.use(async (context, next) => {
    context.set("route", "none");
    await next();
    leave(door, context);
  });
  app.use(async (context, next) => {
    const release = door.requests.take(context.env.via);
    try {
      await admit(door, context);
      await next();
    } finally {
      release();
    }
  });
  const all: readonly Route[] = [commandRoute, ...routes(parts)];
  for (const { method, path, answer } of all)
    app.on(method, path, (context) => {
      context.set("route", path);
      return answer(door, context);
    });
  for (const path of new Set(all.map((route) => route.path)))
    app.all(path, (context) => {
      context.set("route", path);
      return otherMethod(
        context,
        all.filter((route) => route.path === path),
      );
    });
  app.notFound((context) =>
    refuse(
      context,
      new Refusal(
        "not_found",
        "nothing is at this address",
        "`GET /openapi.json` describes what there is",
      ),
    ),
  );
  app.onError((error, context) => refuse(context, error));
  return app;
}

/** Every answer leaves through here, those of refusals too. */
function leave(door: Door, context: HttpContext): void {
  const { headers, status } = context.res;
  for (const [name, value] of Object.entries(securityHeaders)) headers.set(name, value);
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  door.metrics.countRequest(context.var.route, status);
}

const commandRoute: Route = {
  method: "POST",
  path: "/commands/*",
  answer: (door, context) =>
    answerCommand(
      door,
      context.req.path.slice("/commands/".length),
      context.var.caller,
      context.env,
      context.req.raw,
    ),
};

/** The checks that come before every route. */
async function admit(door: Door, context: HttpContext): Promise<void> {
  const request = context.req.raw;
  checkSize(request, door.limits);
  checkSource(request, context.env);
  context.set("caller", callerOf(request, context.env, door.parts.token));
}

function otherMethod(context: HttpContext, known: readonly Route[]): Response {
  const allowed = known.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const headers = { allow: [...allowed, "OPTIONS"].join(", ") };
  if (context.req.method === "OPTIONS") return new Response(null, { status: 204, headers });
  const response = refuse(
    context,
    new Refusal("method_wrong", "this address does not take that method", `use ${allowed[0]}`, {
      allowed,
    }),
  );
  response.headers.set("allow", headers.allow);
  return response;
}

/** Of an address, what the log shows. */
const shownPathLength = 200;

function refuse(context: HttpContext, error: unknown): Response {
  const { method, path } = context.req;
  const doing = `answering ${method} ${path.slice(0, shownPathLength)}`;
  return failureResponse(failureOf(error, doing, "debug"), wanted(context));
}

/** A command's refusal has the form its answer would have had. */
function wanted(context: HttpContext): AnswerForm {
  if (!context.req.path.startsWith("/commands/")) return "json";
  try {
    return formOf(context.req.header("accept") ?? null);
  } catch {
    return "json";
  }
}
