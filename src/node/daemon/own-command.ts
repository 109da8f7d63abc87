/** How this program is started again as a process of its own, from wherever it runs. */
export function ownCommand(words: readonly string[]): string[] {
  const program = Bun.isStandaloneExecutable ? [process.execPath] : [process.execPath, Bun.main];
  return [...program, ...words];
}
