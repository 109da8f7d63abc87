import { describe, expect, test } from "bun:test";
import { splitWords } from "./words.ts";

describe("A-2 the command line of a pipe", () => {
  const table: [string, string[]][] = [
    ["ssh host psionic peer pipe", ["ssh", "host", "psionic", "peer", "pipe"]],
    ["  psionic\tpeer   pipe ", ["psionic", "peer", "pipe"]],
    [`psionic --home '/a b/"c"' peer`, ["psionic", "--home", '/a b/"c"', "peer"]],
    [`ssh host "psionic --home \\"/a b\\" peer"`, ["ssh", "host", 'psionic --home "/a b" peer']],
    [
      String.raw`a\ b 'c\d' "e\f" "g\\h"`,
      ["a b", String.raw`c\d`, String.raw`e\f`, String.raw`g\h`],
    ],
    [`x '' ""`, ["x", "", ""]],
    [`pre'fix'ed"word"`, ["prefixedword"]],
    ["echo $HOME | tee `x` > y; *", ["echo", "$HOME", "|", "tee", "`x`", ">", "y;", "*"]],
  ];

  test.each(table)("A-2 %s", (commandLine, words) => {
    expect(splitWords(commandLine)).toEqual(words);
  });

  test.each(["", "   ", "ssh 'host", 'a "b'])("A-2 %p is refused", (commandLine) => {
    expect(() => splitWords(commandLine)).toThrow(/cannot be read/);
  });
});
