/** One test as Bun's JUnit report tells it. */
export interface TestCase {
  readonly name: string;
  readonly seconds: number;
  readonly outcome: "passed" | "failed" | "skipped";
}

const entities: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

function readAttribute(tag: string, name: string): string {
  const raw = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
  return raw
    .replace(/&#(?:x([0-9a-fA-F]+)|(\d+));/g, (_, hexadecimal: string, decimal: string) =>
      String.fromCodePoint(hexadecimal ? parseInt(hexadecimal, 16) : Number(decimal)),
    )
    .replace(/&\w+;/g, (entity) => entities[entity] ?? entity);
}

/**
 * The tests of a JUnit report, in its order. Bun escapes `<` in attributes and text and nests
 * nothing inside a test but `failure`, `error` and `skipped`, so a walk over the tags is enough.
 */
export function readReport(xml: string): TestCase[] {
  const cases: TestCase[] = [];
  for (const [tag, kind] of xml.matchAll(/<(testcase|failure|error|skipped)\b[^>]*>/g)) {
    if (kind === "testcase") {
      // Bun lists the describe blocks from the innermost outwards.
      const group = readAttribute(tag, "classname").split(" > ").reverse().join(" > ");
      const name = readAttribute(tag, "name");
      cases.push({
        name: group === "" ? name : `${group} > ${name}`,
        seconds: Number(readAttribute(tag, "time")),
        outcome: "passed",
      });
      continue;
    }
    const owner = cases.pop();
    if (owner) cases.push({ ...owner, outcome: kind === "skipped" ? "skipped" : "failed" });
  }
  return cases;
}
