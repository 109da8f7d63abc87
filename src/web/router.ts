/** Where in the page a link leads. The part of the address after `#` says it, so the back button works. */
export type Route =
  | { readonly view: "home" }
  | { readonly view: "run"; readonly run: string }
  | { readonly view: "compare"; readonly runs: readonly string[]; readonly axis: Axis }
  | { readonly view: "receipts"; readonly subject: string; readonly digest: string }
  /** The mesh; with a node's id that member alone. */
  | { readonly view: "cluster"; readonly node: string }
  | { readonly view: "access" }
  | { readonly view: "node" }
  | { readonly view: "unknown"; readonly path: string };

/** What curves are drawn over. */
export type Axis = "step" | "tokens" | "seconds";
export const axes: readonly Axis[] = ["step", "tokens", "seconds"];

/** A comparison draws at most this many runs. */
export const comparedMaximum = 8;

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const words = path
    .split("/")
    .filter((word) => word !== "")
    .map(decode);
  const search = new URLSearchParams(query);
  const [first, second] = words;
  if (words.length === 0) return { view: "home" };
  if (first === "run" && second !== undefined && words.length === 2) {
    return { view: "run", run: second };
  }
  if (first === "cluster" && words.length <= 2) return { view: "cluster", node: second ?? "" };
  if (words.length > 1) return { view: "unknown", path };
  if (first === "access" || first === "node") return { view: first };
  if (first === "compare") {
    return {
      view: "compare",
      runs: parseRuns(search.get("runs")),
      axis: axes.find((axis) => axis === search.get("axis")) ?? "step",
    };
  }
  if (first === "receipts") {
    return {
      view: "receipts",
      subject: search.get("subject") ?? "",
      digest: search.get("digest") ?? "",
    };
  }
  return { view: "unknown", path };
}

function decode(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

function parseRuns(text: string | null): string[] {
  const runs = (text ?? "").split(",").filter((run) => run !== "");
  return [...new Set(runs)].slice(0, comparedMaximum);
}

/** The address of a route, for links. */
export function hashOf(route: Exclude<Route, { view: "unknown" }>): string {
  switch (route.view) {
    case "home":
      return "#/";
    case "run":
      return `#/run/${encodeURIComponent(route.run)}`;
    case "compare": {
      const search = new URLSearchParams();
      if (route.runs.length > 0) search.set("runs", route.runs.join(","));
      if (route.axis !== "step") search.set("axis", route.axis);
      return withSearch("#/compare", search);
    }
    case "receipts": {
      const search = new URLSearchParams();
      if (route.subject !== "") search.set("subject", route.subject);
      if (route.digest !== "") search.set("digest", route.digest);
      return withSearch("#/receipts", search);
    }
    case "cluster":
      return route.node === "" ? "#/cluster" : `#/cluster/${encodeURIComponent(route.node)}`;
    case "access":
    case "node":
      return `#/${route.view}`;
  }
}

function withSearch(path: string, search: URLSearchParams): string {
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The token of a link that `psionic up` printed (`#token=…`), or null. */
export function tokenOfHash(hash: string): string | null {
  const found = /^#\/?token=([A-Za-z0-9._~+/=-]{1,512})$/.exec(hash);
  return found?.[1] ?? null;
}
