import type * as v from "valibot";

/** Characters of a wrong value that are repeated to whoever gave it. */
const receivedMaximum = 80;

/** Types as people name them. */
const typeNames: Readonly<Record<string, string>> = {
  number: "a number",
  boolean: "true or false",
  string: "text",
  Array: "a list",
  Object: "a JSON object",
};

/**
 * What is wrong with a parameter, as a sentence without its end. The schema's own words stay; those
 * of the library, which are written for programmers, are replaced.
 */
export function explainIssue(issue: v.BaseIssue<unknown>, path: string): string {
  const name = path === "" ? "what is given" : path;
  if (issue.received === "undefined") return `${name} is required`;
  const isOfLibrary = issue.message.startsWith("Invalid ");
  if (!isOfLibrary) return path === "" ? issue.message : `${path}: ${issue.message}`;
  if (issue.expected === "never") return `${name} is no parameter`;
  return `${name} ${must(issue)}`;
}

function must({ kind, type, expected, received, requirement }: v.BaseIssue<unknown>): string {
  const not = `, not ${received.length > receivedMaximum ? `${received.slice(0, receivedMaximum)}…` : received}`;
  const bound = String(requirement);
  switch (type) {
    case "min_value":
      return `must be at least ${bound}${not}`;
    case "max_value":
      return `must be at most ${bound}${not}`;
    case "integer":
    case "safe_integer":
      return `must be a whole number${not}`;
    case "non_empty":
      return "must not be empty";
    case "min_length":
      return `must have a length of at least ${bound}${not}`;
    case "max_length":
      return `must have a length of at most ${bound}${not}`;
    default:
      if (expected === null) return `must be otherwise${not}`;
      return kind === "schema"
        ? `must be ${choice(expected)}${not}`
        : `must match ${expected}${not}`;
  }
}

/** `("a" | "b")` reads `a or b`. */
function choice(expected: string): string {
  const words = expected
    .replace(/^\((.*)\)$/, "$1")
    .split(" | ")
    .map((word) => typeNames[word] ?? word.replace(/^"(.*)"$/, "$1"));
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
