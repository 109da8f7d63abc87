import { describe, expect, test } from "bun:test";
import { parseUniqueJson } from "./unique-json.ts";

describe("A-8 JSON without twins", () => {
  test.each([
    '{"a":1,"b":{"a":2},"c":[{"a":3},{"a":":"}]}',
    '{"a\\":":"\\\\","__proto__":{"constructor":null}}',
    ...["{}", "[]", '":"', "0", "null", ' { "a" : [ ] } '],
  ])("A-8 %p is read as ever", (text) => {
    expect(JSON.stringify(parseUniqueJson(text))).toBe(JSON.stringify(JSON.parse(text)));
  });

  test("A-8 a long text is read too", () => {
    const text = JSON.stringify({
      long: `:${'\\"'.repeat(500_000)}`,
      list: Array.from({ length: 1_000 }, () => ({})),
    });
    expect(JSON.stringify(parseUniqueJson(text))).toBe(text);
  });

  test.each([
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"a":{"b":1,"c":[{"d":1,"d":2}]}}',
    '{"__proto__":1,"__proto__":2}',
    '{"":"","":":"}',
    ...["", "{", "{'a':1}", '{"a":1}{"b":2}'],
  ])("A-8 %p is refused", (text) => {
    expect(() => parseUniqueJson(text)).toThrow(SyntaxError);
  });
});
