/** A `test("name", …)` or `it(…)` call found in a test file. */
export interface TestBody {
  readonly name: string;
  readonly asserts: boolean;
}

/** Names like `expectRefusal` and `verifyMemory` count as assertions wherever they are declared. */
const assertingWord = /expect|assert|verify|\bthrow\b/i;

/** The index just behind a string, template, comment or regular expression that starts at `start`. */
function skipLiteral(text: string, start: number): number {
  const character = text[start];
  if (text.startsWith("//", start)) {
    const end = text.indexOf("\n", start);
    return end < 0 ? text.length : end;
  }
  if (text.startsWith("/*", start)) return text.indexOf("*/", start) + 2;
  if (character === '"' || character === "'" || character === "`") {
    for (let index = start + 1; index < text.length; index++) {
      if (text[index] === "\\") index++;
      else if (text[index] === character) return index + 1;
      else if (character === "`" && text.startsWith("${", index)) {
        index = findClosing(text, index + 1) - 1;
      }
    }
    return text.length;
  }
  return start;
}

/** The index just behind the bracket that closes the one at `start`. */
function findClosing(text: string, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length; index++) {
    const end = skipLiteral(text, index);
    if (end > index) {
      index = end - 1;
      continue;
    }
    if ("([{".includes(text[index] ?? "")) depth++;
    if (")]}".includes(text[index] ?? "") && --depth === 0) return index + 1;
  }
  return text.length;
}

/**
 * Functions of the file that assert, by themselves or through one another: a test that calls one
 * asserts too.
 */
function listAssertingFunctions(plain: string): Set<string> {
  const bodies = new Map<string, string>();
  const declaration =
    /^(?:export )?(?:async )?(?:function\*? (\w+)\(|(?:const|let) (\w+) = [^\n]*=>)/gm;
  for (const match of plain.matchAll(declaration)) {
    // The transpiler indents what belongs to a function; the next line at the margin ends it.
    const rest = plain.slice(match.index + match[0].length);
    const end = rest.search(/\n(?=\S)/);
    bodies.set(match[1] ?? match[2] ?? "", end < 0 ? rest : rest.slice(0, end));
  }
  const asserting = new Set<string>();
  const found = () =>
    [...bodies].find(([name, body]) => !asserting.has(name) && isAsserting(body, asserting))?.[0];
  for (let name = found(); name !== undefined; name = found()) asserting.add(name);
  return asserting;
}

function isAsserting(body: string, functions: ReadonlySet<string>): boolean {
  return (
    assertingWord.test(body) ||
    [...functions].some((name) => new RegExp(`\\b${name}\\b`).test(body))
  );
}

/**
 * The tests of a file. The text goes through Bun's transpiler first, which leaves no comments, no
 * types and regular layout; a call is then followed by brackets.
 */
export function listTestBodies(text: string): TestBody[] {
  const plain = new Bun.Transpiler({ loader: "ts" }).transformSync(text);
  const functions = listAssertingFunctions(plain);
  const bodies: TestBody[] = [];
  for (const match of plain.matchAll(
    /^\s*(?:test|it)(?:\.(?:each|skipIf|if|serial|concurrent)\b)?\(/gm,
  )) {
    let open = match.index + match[0].length - 1;
    let call = plain.slice(open, findClosing(plain, open));
    // test.each(table)("name", …) and test.skipIf(condition)("name", …): the second call counts.
    if (plain[open + call.length] === "(") {
      open += call.length;
      call = plain.slice(open, findClosing(plain, open));
    }
    const name = /["'`](.*?)["'`]\s*,/s.exec(call)?.[1] ?? "";
    // The name itself may speak of assertions.
    bodies.push({ name, asserts: isAsserting(call.replace(name, ""), functions) });
  }
  return bodies;
}
