/** The options every command shares. A command may not name a parameter like one of them. */
export interface GlobalOption {
  readonly name: string;
  readonly short?: string;
  /** What its value is, for help; without it the option is a flag. */
  readonly takes?: string;
  readonly description: string;
}

export const globalOptions: readonly GlobalOption[] = [
  { name: "json", description: "JSON lines on stdout, each with a `type`" },
  { name: "no-input", description: "never ask; refuse instead" },
  { name: "no-color", description: "no colour (also NO_COLOR)" },
  { name: "home", takes: "DIR", description: "the node home (also PSIONIC_HOME; ~/.psionic)" },
  { name: "quiet", short: "q", description: "no talk on stderr, only refusals" },
  { name: "verbose", short: "v", description: "more talk on stderr" },
  { name: "help", short: "h", description: "what the program or a command takes" },
  { name: "version", short: "V", description: "the version of the program" },
];
