import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { evaluatePolicy } from "./evaluate.ts";
import { checkExpression, ExpressionFault } from "./expression.ts";
import { checkPolicy } from "./policy.ts";
import { stepMaximum, type PolicyContent } from "./policy-schema.ts";
import { drawnSignals, outcomesDigest, refusalOf, sample } from "./policy.fixture.ts";
import {
  knownSignals,
  listMaximum,
  signalsDigestOf,
  textMaximum,
  type Signals,
} from "./signals.ts";

const known = knownSignals({
  ...{ text: "string", labels: "list<string>", sizes: "list<int>", count: "int", flag: "bool" },
  "parameter.steps": "int",
});

const base: Signals = {
  ...{ "caller.provenance": "peer", "caller.trust": "member", "caller.node": "psn1" },
  ...{
    command: "run/start",
    parameters: "00",
    text: "héllo",
    labels: ["a", "b"],
    sizes: [1, 2, 3],
  },
  ...{ count: 7, flag: true, "parameter.steps": 100 },
};

const rules = (...expressions: string[]) => ({
  ...{ type: "psionic-policy", version: 1, name: "p", revision: 1, summary: "s" },
  signals: Object.fromEntries(
    [...known].filter(([name]) => /^(text|lab|siz|cou|fla|parameter\.)/.test(name)),
  ),
  rules: expressions.map((when, index) => ({
    id: `r${index}`,
    when,
    outcome: "allow",
    reason: "r",
  })),
  default: { outcome: "deny", reason: "none" },
});

const decide = (when: string, signals: Signals = base) =>
  evaluatePolicy(checkPolicy(rules(when)), signals);

function faultOf(expression: string): ExpressionFault {
  try {
    checkExpression(expression, known);
  } catch (error) {
    if (error instanceof ExpressionFault) return error;
    throw error;
  }
  throw new Error(`${expression} was accepted`);
}

describe("A-8 the rule language", () => {
  const holding = [
    ...[
      'caller.trust == "member" && command == "run/start"',
      "parameter.steps <= 100",
      "!(count > 7)",
    ],
    ...['text.startsWith("hé") && text.endsWith("o") && text.contains("ll")', "size(text) == 5"],
    ...['labels.exists(l, l == "b")', "sizes.all(s, s < 4)", "sizes.exists_one(s, s == 2)"],
    ...["size(sizes.filter(s, s > 1)) == 2", '"a" in labels', "count in [5, 7]", "sizes[0] == 1"],
    ...[
      'labels == ["a", "b"]',
      "(flag ? count : 0) == 7",
      "-count + 14 / 2 == 0",
      "count % 2 == 1",
    ],
    ...[
      "1 / 0 == 1 || flag",
      'labels.exists(l, sizes[5] == 1 || l == "a")',
      "0x10 == 16 // sixteen",
    ],
    ...["9223372036854775807 > count", "labels.all(l, sizes.exists(s, size(l) == s))"],
  ];
  test.each(holding)("A-8 `%s` holds", (when) => {
    expect(decide(when)).toMatchObject({ outcome: "allow", rule: "r0", error: null });
  });

  const beyond: [string, string][] = [
    ['text.matches("(a+)+$")', "matches(…) is not part"],
    ["1.5 < 2.0", "fraction"],
    ["double(count) < 2", "double(…) is not part"],
    ['timestamp("2026-01-01T00:00:00Z").getHours() == 1', "is not part"],
    ["duration('1s') == duration('1s')", "is not part"],
    ["string(count) == '7'", "string(…) is not part"],
    ["text + text == text", "int was expected, not string"],
    ["size(labels + labels) == 4", "int was expected"],
    ["cel.bind(x, count, x == 1)", "maxCallArguments"],
    ["sizes.map(s, s * 2) == sizes", "map(…) is not part"],
    ["has(caller.trust)", "has(…) is not part"],
    ['{"a": 1} == {"a": 1}', "Exceeded maxMapEntries"],
    ["b'a' == b'a'", "only truths, integers and texts"],
    ["1u == 1u", "only truths"],
    ["null == null", "only truths"],
    ["type(count) == int", "type(…) is not part"],
    ["text < 'b'", "int was expected, not string"],
    ["count == text", "never equal"],
    ["count in labels", "cannot be in"],
    ["'a' in text", "cannot be in"],
    ["[] == labels", "empty list"],
    ["[1, 'a'] == sizes", "all of one type"],
    ["[[1]] == [[1]]", "integers or texts"],
    ["text.split('a') == labels", "split(…) is not part"],
    ["labels.join() == text", "join(…) is not part"],
    ["text.lowerAscii() == text", "lowerAscii(…) is not part"],
    ["99999999999999999999 > 1", "64 bits"],
    ["labels.exists(count, count == 'a')", "already the name"],
    ["labels.exists(caller, caller == 'a')", "variable's name"],
    ["labels.exists(int, int == 'a')", "variable's name"],
    ["labels.exists(l, labels.exists(l, l == 'a'))", "already the name"],
    ["labels.exists(l.x, true)", "iteration variable"],
    ["text.exists(t, true)", "goes over a list"],
    ["labels[0].length == 1", "only signals have members"],
    ["text[0] == 'h'", "only a list has items"],
    ["labels['a'] == 'a'", "int was expected"],
    ["size(count) == 1", "has no size"],
    ["flag ? 1 : 'a'", "one type"],
    ["count", "a rule needs a bool"],
    ["", "Unexpected"],
    ["count ==", "Unexpected"],
    ["now() > 1", "now(…) is not part"],
    ["text.matches", "no signal text.matches"],
  ];
  test.each(beyond)("A-8 `%s` is refused", (expression, reason) => {
    expect(faultOf(expression).reason).toContain(reason);
  });

  test("A-8 an unknown name is refused with the nearest and its place", async () => {
    const fault = faultOf("flag && caller.trusst == 'member'");
    expect(fault).toMatchObject({ suggestion: "caller.trust", start: 8, end: 21 });
    const refusal = await refusalOf(() => checkPolicy(rules("flag", "cuont > 1")));
    expect(refusal).toMatchObject({
      code: "policy_wrong",
      details: { rule: "r1", start: 0, end: 5 },
    });
    expect(refusal.message).toContain("rule r1, character 1, `cuont`");
    expect(refusal.hint).toContain("count");
  });

  test("A-8 size, depth, parts and list literals are bounded", () => {
    expect(faultOf(`flag || ${" ".repeat(2_048)} flag`).reason).toContain("longer than");
    expect(faultOf(`${"(".repeat(30)}flag${")".repeat(30)}`).reason).toContain("maxDepth");
    expect(faultOf(Array.from({ length: 200 }, () => "flag").join("||")).reason).toContain(
      "maxAst",
    );
    expect(faultOf(`count in [${Array.from({ length: 65 }, () => "1").join()}]`).reason).toContain(
      "maxListElements",
    );
    expect(faultOf(`${"!".repeat(2_000)}flag`).reason).toContain("maxAst");
  });
});

describe("A-8 evaluation", () => {
  test("A-8 rules decide in order, the default denies", () => {
    expect(decide("count > 100")).toEqual({
      outcome: "deny",
      rule: null,
      reason: "none",
      error: null,
    });
    const second = checkPolicy(rules("count > 100", "flag"));
    expect(evaluatePolicy(second, base).rule).toBe("r1");
  });

  const errors: [string, string][] = [
    ["1 / (count - 7) == 1", "division_by_zero"],
    ["1 % (count - 7) == 1", "division_by_zero"],
    ["9223372036854775807 + count > 0", "overflow"],
    ["sizes[3] == 1", "index_beyond_list"],
    ["sizes[-1] == 1", "index_beyond_list"],
    ["sizes.all(s, 1 / (s - 1) < 5)", "division_by_zero"],
  ];
  test.each(errors)("A-8 an error is an outcome: `%s` denies", (when, error) => {
    expect(decide(when)).toMatchObject({ outcome: "deny", rule: "r0", error });
  });

  test("A-8 the order of members changes neither digest nor outcome", () => {
    for (let seed = 0; seed < 50; seed++) {
      const signals = drawnSignals(seed);
      const turned = Object.fromEntries(Object.entries(signals).reverse());
      expect(signalsDigestOf(turned)).toBe(signalsDigestOf(signals));
      expect(evaluatePolicy(sample, turned)).toEqual(evaluatePolicy(sample, signals));
    }
  });

  test("A-8 a thousand signals give the same twice and in another process", async () => {
    const first = outcomesDigest();
    expect(outcomesDigest()).toBe(first);
    const child = Bun.spawn(
      [process.execPath, `${import.meta.dir}/execute-child.fixture.ts`, "-", "digest"],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
    expect(JSON.parse(await child.stdout.text())).toEqual({ digest: first });
    const decisions = Array.from({ length: 1_000 }, (_, seed) =>
      evaluatePolicy(sample, drawnSignals(seed)),
    );
    const seen = new Set(decisions.map(({ rule, error }) => `${rule} ${error}`));
    expect([...seen].sort()).toEqual([
      ...["divides division_by_zero", "divides null", "null null", "purpose null", "too-many null"],
    ]);
  });
});

describe("A-8 the bound on steps", () => {
  const nested = "labels.all(a, labels.all(b, a != b || a == b))";

  test("A-8 a policy beyond the bound is refused, one at it is not", async () => {
    const { stepCount } = checkExpression(nested, known);
    const fitting = Math.floor(stepMaximum / stepCount);
    expect(fitting).toBeGreaterThan(0);
    expect(checkPolicy(rules(...Array.from({ length: fitting }, () => nested))).rules).toHaveLength(
      fitting,
    );
    const over = Array.from({ length: fitting + 1 }, () => nested);
    const refusal = await refusalOf(() => checkPolicy(rules(...over)));
    expect(refusal).toMatchObject({ code: "policy_wrong", details: { maximum: stepMaximum } });
    const thrice = "labels.all(a, labels.all(b, labels.all(c, a == b || b == c)))";
    expect((await refusalOf(() => checkPolicy(rules(thrice)))).details).toMatchObject({
      maximum: stepMaximum,
    });
  });

  test("A-8 the worst policies allowed end within a second", () => {
    const long = (last: string) => "a".repeat(textMaximum - 1) + last;
    const labels = Array.from({ length: listMaximum }, () => long("b"));
    const sizes = Array.from({ length: listMaximum }, (_, index) => index);
    const worst = { ...base, labels, sizes, text: long("c") };
    const searches = `labels.exists(l, ${Array.from({ length: 12 }, () => "l.contains(text)").join(" || ")})`;
    const membership = "labels.exists(l, labels.exists(m, m == text && l == text))";
    const sums = "sizes.all(s, sizes.all(t, s * t + s - t < 20000))";
    for (const when of [nested, searches, membership, sums]) {
      const { stepCount } = checkExpression(when, known);
      const count = Math.min(32, Math.floor(stepMaximum / stepCount));
      const policy: PolicyContent = checkPolicy(
        rules(...Array.from({ length: count }, () => `(${when}) && false`)),
      );
      const startedMs = performance.now();
      expect(evaluatePolicy(policy, worst)).toMatchObject({ outcome: "deny", error: null });
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }
  });
});

describe("A-8 whatever is written", () => {
  const tokens = [
    ...["count", "text", "labels", "sizes", "flag", "caller", "caller.trust", "command", "l", "m"],
    ...[
      "(",
      ")",
      "[",
      "]",
      "==",
      "!=",
      "<",
      ">=",
      "&&",
      "||",
      "!",
      "-",
      "+",
      "/",
      "%",
      " in ",
      "?",
      ":",
    ],
    ...[",", ".", "1", "0", "9223372036854775807", "'a'", "true", "null", "1.5", "size(", "{", "}"],
    ...["labels.exists(l, ", "sizes.filter(m, ", ".size()", ".contains(", "r'", "'''", "\\", "b'"],
    ...["1u", "0x", "//", "\n", ";", "#", "é", "\ud800", "has(", "cel.bind(", "map(", ".matches("],
  ];
  const outcomes = ["null", "overflow", "division_by_zero", "index_beyond_list"];

  test("A-8 it is refused with its place, or always ends and gives the same", () => {
    let acceptedCount = 0;
    const pieces = fc.array(fc.constantFrom(...tokens), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pieces, (words) => {
        const when = words.join("");
        const policy = rules("flag");
        try {
          checkExpression(when, known);
        } catch (error) {
          expect(error).toBeInstanceOf(ExpressionFault);
          return;
        }
        acceptedCount++;
        const content = { ...policy, rules: [{ ...policy.rules[0], when }] } as PolicyContent;
        const decision = evaluatePolicy(content, base);
        expect(outcomes).toContain(String(decision.error));
        expect(evaluatePolicy(content, base)).toEqual(decision);
      }),
      { numRuns: 20_000, seed: 8 },
    );
    expect(acceptedCount).toBeGreaterThan(50);
  });
});
