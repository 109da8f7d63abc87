import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The words of a command line, as a shell splits it and without one: spaces part words, `'…'` keeps
 * everything as it is, `"…"` and a backslash keep spaces. Variables, globs, pipes and substitutions
 * mean nothing, so what is started is what is written, on every system; whoever wants a shell
 * writes `sh -c '…'`. Refused with `usage` when it is empty or a quotation mark is not closed.
 */
export function splitWords(commandLine: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let index = 0; index < commandLine.length; index++) {
    const character = commandLine[index]!;
    const next = commandLine[index + 1];
    if (character === "\\" && quote !== "'" && next !== undefined && escapes(quote, next)) {
      word = (word ?? "") + next;
      index++;
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + character;
  }
  if (quote !== null) throw unreadable(`a ${quote} is not closed`);
  if (word !== null) words.push(word);
  if (words.length === 0) throw unreadable("it is empty");
  return words;
}

/** Between double quotes a backslash is a letter like any other, except before these. */
const escapes = (quote: string | null, next: string) =>
  quote === null || ['"', "\\", "$", "`"].includes(next);

function unreadable(why: string): Refusal {
  return new Refusal(
    "usage",
    `the command line to start cannot be read: ${why}`,
    "write it as for a shell, such as --via 'ssh host psionic peer pipe'",
  );
}
