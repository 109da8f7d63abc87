import { expect, test } from "bun:test";
import * as v from "valibot";
import { explainIssue } from "./explain-issue.ts";

const schema = v.strictObject({
  lines: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(9)),
  level: v.picklist(["low", "middle", "high"]),
  again: v.union([v.boolean(), v.string()]),
  files: v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.minLength(1), v.maxLength(2)),
  body: v.record(v.string(), v.unknown()),
  drain: v.pipe(v.string(), v.regex(/^\d+s$/, "write seconds: 30s")),
  key: v.pipe(v.string(), v.regex(/^k/)),
});
const right = {
  level: "low",
  again: true,
  files: ["a"],
  body: {},
  drain: "1s",
  lines: 1,
  key: "k",
};

test.each([
  [{ lines: "x" }, 'lines must be a number, not "x"'],
  [{ lines: 0 }, "lines must be at least 1, not 0"],
  [{ lines: 10 }, "lines must be at most 9, not 10"],
  [{ lines: 1.5 }, "lines must be a whole number, not 1.5"],
  [{ lines: undefined }, "lines is required"],
  [{ level: "loud" }, 'level must be low, middle or high, not "loud"'],
  [{ again: 1 }, "again must be true or false or text, not 1"],
  [{ files: "a" }, 'files must be a list, not "a"'],
  [{ files: [] }, "files must have a length of at least 1, not 0"],
  [{ files: ["a", "b", "c"] }, "files must have a length of at most 2, not 3"],
  [{ files: [""] }, "files.0 must not be empty"],
  [{ body: "{a" }, 'body must be a JSON object, not "{a"'],
  [{ drain: "5" }, "drain: write seconds: 30s"],
  [{ key: "a" }, 'key must match /^k/, not "a"'],
  [{ volume: 3 }, "volume is no parameter"],
  [{ lines: "y".repeat(500) }, `lines must be a number, not "${"y".repeat(79)}…`],
])("A-3 a wrong parameter is told in a person's words: %o", (wrong, sentence) => {
  const { issues } = v.safeParse(schema, { ...right, ...wrong });
  expect(explainIssue(issues![0], v.getDotPath(issues![0]) ?? "")).toBe(sentence);
});

test("A-3 parameters that are no object at all are told so", () => {
  const { issues } = v.safeParse(schema, "x");
  expect(explainIssue(issues![0], "")).toBe('what is given must be a JSON object, not "x"');
});
