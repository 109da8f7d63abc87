import { expect, test } from "bun:test";
import { comparedMaximum, hashOf, parseRoute, tokenOfHash } from "./router.ts";

test("every address leads back to its view", () => {
  const routes = [
    { view: "home" },
    { view: "run", run: "a b/ü%" },
    { view: "compare", runs: ["one", "two"], axis: "tokens" },
    { view: "compare", runs: [], axis: "step" },
    { view: "receipts", subject: "wjnasebx", digest: "" },
    { view: "cluster", node: "" },
    { view: "cluster", node: "psnab3c" },
    { view: "access" },
    { view: "node" },
  ] as const;
  for (const route of routes) expect(parseRoute(hashOf(route))).toEqual(route);
});

test("an address that leads nowhere says so", () => {
  expect(parseRoute("#/run")).toEqual({ view: "unknown", path: "/run" });
  expect(parseRoute("#/run/a/b").view).toBe("unknown");
  expect(parseRoute("#/cluster/a/b").view).toBe("unknown");
  expect(parseRoute("#/node/x").view).toBe("unknown");
  expect(parseRoute("#/run/%E0%A4%A").view).toBe("run");
  expect(parseRoute("").view).toBe("home");
});

test("a comparison is bounded, and an axis nobody knows is steps", () => {
  const runs = Array.from({ length: 20 }, (_, index) => `r${index}`).join(",");
  const route = parseRoute(`#/compare?runs=${runs},r1&axis=moon`);
  expect(route).toMatchObject({ view: "compare", axis: "step" });
  expect(route.view === "compare" && route.runs.length).toBe(comparedMaximum);
});

test("the token is read from a link and from nothing else", () => {
  expect(tokenOfHash("#token=abc-_123")).toBe("abc-_123");
  expect(tokenOfHash("#/token=abc")).toBe("abc");
  expect(tokenOfHash("#/run/token=abc")).toBeNull();
  expect(tokenOfHash("#token=a b")).toBeNull();
  expect(tokenOfHash("#token=")).toBeNull();
});
