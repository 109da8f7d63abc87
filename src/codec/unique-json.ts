/**
 * Reads JSON in which no object has a member twice: programs differ in which of the two they read, so a
 * text with one would be verified as one thing and read as another. Throws `SyntaxError` as `JSON.parse`.
 */
export function parseUniqueJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (memberCount(value) === colonCount(text)) return value;
  throw new SyntaxError("a member stands twice in one object");
}

/** Members of all objects in a value. */
function memberCount(value: unknown): number {
  let count = 0;
  const waiting = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== "object" || next === null) continue;
    const inside: unknown[] = Object.values(next);
    if (!Array.isArray(next)) count += inside.length;
    for (const each of inside) waiting.push(each);
  }
  return count;
}

/** Colons outside strings: valid JSON has one for each member as it was written. */
function colonCount(text: string): number {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
}
