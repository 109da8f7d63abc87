import { expect, test } from "bun:test";
import { runName } from "./run-name.ts";

const free = () => false;

test("T-4 a run is called after its first file, and numbered when the name is taken", () => {
  const taken = new Set(["book", "book-2"]);
  expect(runName({ files: ["/texts/book.txt"] }, (name) => taken.has(name))).toBe("book-3");
  expect(runName({ files: [] }, free)).toBe("addition");
  expect(runName({ files: ["corpus/"] }, free)).toBe("corpus");
});

test("T-4 whatever a file is called, the name is plain and short", () => {
  expect(runName({ files: ["--home.txt"] }, free)).toBe("home");
  expect(runName({ files: ["../.."] }, free)).toBe("run");
  expect(runName({ files: ["\x1b[31mred\n.txt"] }, free)).toBe("31mred-");
  expect(runName({ files: ["книга.txt"] }, free)).toBe("run");
  expect(runName({ files: [`${"x".repeat(5_000)}.txt`] }, free)).toHaveLength(40);
});

test("T-4 no run takes a word that means something else where a run is named", () => {
  for (const name of ["latest", "true", "false"]) {
    expect(() => runName({ name, files: [] }, free)).toThrow(`No run can be called ${name}`);
    expect(runName({ files: [`${name}.txt`] }, free)).toBe(`${name}-2`);
  }
});

test("T-4 a given name that is taken is refused", () => {
  expect(() => runName({ name: "book", files: [] }, () => true)).toThrow("called book already");
});
