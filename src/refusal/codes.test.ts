import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { codes } from "./codes.ts";

test("every code of every area's table is in the one table, and none stands in two areas", async () => {
  const directory = new URL("codes/", import.meta.url).pathname;
  const declared: string[] = [];
  for (const file of readdirSync(directory)) {
    const module: Record<string, unknown> = await import(`${directory}${file}`);
    for (const [name, table] of Object.entries(module)) {
      if (name.endsWith("Codes")) declared.push(...Object.keys(table as object));
    }
  }
  expect(declared.toSorted()).toEqual(Object.keys(codes).toSorted());
});
