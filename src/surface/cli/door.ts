import type { Event, Services } from "#src/command/define.ts";
import { dispatch, unknownCommand } from "#src/command/dispatch.ts";
import type { AnyCommand, Registry } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
import type { Interaction, StandardPipe } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  leadingWords,
  readArguments,
  readGlobals,
  refuseStrayOption,
  type GlobalValues,
} from "./arguments.ts";
import { commandHelp, prefixHelp, programHelp } from "./help.ts";
import { absolutePaths } from "./paths.ts";
import { Reporter } from "./reporter.ts";
import { wantsColour } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

/** The process that has the home, as a terminal calls it. */
export interface RunningDaemon {
  /** As `dispatch`, in that process: events as they happen, then the result or the refusal. */
  call(
    name: string,
    parameters: unknown,
    options: { readonly signal: AbortSignal; emit(event: Event): void },
  ): Promise<unknown>;
}

/** What the command-line door is given when the node composes. */
export interface DoorParts {
  readonly registry: Registry;
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Version of the program, for `--version` and help. */
  readonly version: string;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Asks a person without echo. */
  askSecret(question: string): Promise<string>;
  /** The next line of standard input; null at its end. Without it there is no input. */
  readLine?(prompt: string): Promise<string | null>;
  /** Standard input and output as bytes. */
  readonly pipe?: StandardPipe;
  /** Makes the services of one call; nothing is opened before it is used. */
  compose(options: { readonly home: string | undefined; readonly interaction: Interaction }): {
    readonly services: Services;
    close(): void;
  };
  /** The daemon of the call's home; null where none runs. Without it no daemon is ever asked. */
  findDaemon?(services: Services): Promise<RunningDaemon | null>;
}

/** Runs one command line and gives its exit status. Everything it says goes to the terminal. */
export async function runCommandLine(argv: readonly string[], parts: DoorParts): Promise<number> {
  // Until the options are understood, a refusal is shown in the form they seem to ask for.
  let reporter = new Reporter(parts.terminal, {
    json: argv.includes("--json"),
    colour: false,
    quiet: false,
    verbose: false,
  });
  try {
    const globals = readGlobals(argv);
    reporter = new Reporter(parts.terminal, {
      json: globals["json"] === true,
      colour: wantsColour(
        parts.terminal.stderrIsTerminal && parts.terminal.stdoutIsTerminal,
        parts.environment,
        globals["no-color"] === true,
      ),
      quiet: globals["quiet"] === true,
      verbose: globals["verbose"] === true,
    });
    const found = find(argv, globals, parts, reporter);
    if (found === null) return 0;
    return await call(found, globals, parts, reporter);
  } catch (error) {
    return reporter.failure(error, parts.signal);
  }
}

/** What takes longer than this is told of. */
const toldAfterMs = 1_000;

interface Found {
  readonly command: AnyCommand;
  /** What follows the command's words, global options among it. */
  readonly rest: readonly string[];
}

/** The command the words name, or null when help or the version answered them already. */
function find(
  argv: readonly string[],
  globals: GlobalValues,
  parts: DoorParts,
  reporter: Reporter,
): Found | null {
  const { registry, version } = parts;
  const { columns, colour } = reporter.screen;
  // `help run start` is what people type who have not read that it is `run start --help`.
  const typed = leadingWords(argv);
  const asksHelp = typed[0]?.word === "help";
  const leading = asksHelp ? typed.slice(1) : typed;
  const words = leading.map(({ word }) => word);
  const wantsHelp = globals["help"] === true || asksHelp;
  if (words.length === 0) {
    if (!wantsHelp) refuseStrayOption(argv);
    if (globals["version"] === true) reporter.answer(`psionic ${version}`, { version });
    else reporter.help(programHelp(registry.all(), { columns, colour, version }), wantsHelp);
    return null;
  }
  const resolved = registry.resolve(words);
  if (resolved === null) {
    const name = longestPrefix(words, registry);
    if (name === null || (name.split("/").length < words.length && !wantsHelp)) {
      throw unknownCommand(registry, words.slice(0, 3).join("/"));
    }
    reporter.help(prefixHelp(name, registry, columns), wantsHelp);
    return null;
  }
  if (wantsHelp) {
    reporter.help(commandHelp(resolved.command, registry, { columns, colour }), true);
    return null;
  }
  const taken = new Set(leading.slice(0, resolved.wordCount).map(({ index }) => index));
  return { command: resolved.command, rest: argv.filter((_, index) => !taken.has(index)) };
}

/** The longest run of words that begins some command's name. */
function longestPrefix(words: readonly string[], registry: Registry): string | null {
  for (let count = words.length; count > 0; count--) {
    const name = words.slice(0, count).join("/");
    if (registry.below(name).some((command) => !command.hidden)) return name;
  }
  return null;
}

async function call(
  { command, rest }: Found,
  globals: GlobalValues,
  parts: DoorParts,
  reporter: Reporter,
): Promise<number> {
  const schema = parameterSchema(command);
  const { parameters } = readArguments(rest, {
    words: command.name.replaceAll("/", " "),
    schema,
    positional: command.positional ?? [],
    letters: command.letters ?? {},
  });
  const home = globals["home"];
  const { services, close } = parts.compose({
    home: typeof home === "string" ? home : undefined,
    interaction: interactionOf(globals, parts),
  });
  try {
    const takesAnything = Object.keys(schema.properties ?? {}).length > 0;
    const defaults = takesAnything ? services.configuration.defaultsFor(command.name) : {};
    const view = reporter.viewOf(command);
    const all = absolutePaths(command, { ...defaults, ...parameters });
    const emit = (event: Event) => reporter.event(event, view);
    const daemon = await daemonFor(command, services, globals, parts);
    const result =
      daemon !== null
        ? await callTelling(daemon, command, all, { signal: parts.signal, emit, reporter })
        : await dispatch(
            {
              registry: parts.registry,
              services,
              caller: { provenance: "local" },
              signal: parts.signal,
              configured: new Set(Object.keys(defaults).filter((key) => !(key in parameters))),
              emit,
            },
            command.name,
            all,
          );
    reporter.result(result, view);
    return parts.signal.aborted && command.endsOnInterrupt !== true ? 130 : 0;
  } finally {
    close();
  }
}

/** What a mesh is asked takes as long as those who decide take; a person is told what is waited for. */
async function callTelling(
  daemon: RunningDaemon,
  { name, flow }: AnyCommand,
  parameters: unknown,
  { reporter, ...options }: Parameters<RunningDaemon["call"]>[2] & { readonly reporter: Reporter },
): Promise<unknown> {
  const tell = () => reporter.note("waiting for others of the mesh; Ctrl-C gives up");
  const late = flow === "cluster" ? setTimeout(tell, toldAfterMs) : undefined;
  try {
    return await daemon.call(name, parameters, options);
  } finally {
    clearTimeout(late);
  }
}

/** The daemon a command belongs in (`place`); null where it runs in this process. */
async function daemonFor(
  command: AnyCommand,
  services: Services,
  globals: GlobalValues,
  { findDaemon }: DoorParts,
): Promise<RunningDaemon | null> {
  const place = command.place ?? "process";
  if (place === "process" || findDaemon === undefined) return null;
  const daemon = await findDaemon(services);
  if (daemon === null && place === "daemon") {
    const { root } = services.home;
    const choice = globals["home"] === undefined ? "" : ` --home ${shellWord(root)}`;
    throw new Refusal(
      "daemon_absent",
      `${command.name.replaceAll("/", " ")} works in a running daemon, and none has ${root}`,
      `\`psionic up --detach${choice}\` starts one`,
      { home: root },
    );
  }
  return daemon;
}

/** A word as a shell reads it back. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function interactionOf(globals: GlobalValues, parts: DoorParts): Interaction {
  const canAsk = globals["no-input"] !== true && parts.terminal.stdinIsTerminal;
  const stopped = new Promise<null>((resolve) => {
    if (parts.signal.aborted) resolve(null);
    parts.signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  return {
    canAsk,
    verbose: globals["verbose"] === true,
    ...(parts.pipe ? { pipe: parts.pipe } : {}),
    // Whoever presses Ctrl-C at a prompt has ended the input.
    readLine: async (prompt) =>
      Promise.race([parts.readLine?.(canAsk ? prompt : "") ?? null, stopped]),
    async askSecret(question) {
      if (canAsk) return parts.askSecret(question);
      throw new Refusal(
        "input_needed",
        `an answer is needed: ${question}`,
        "run it at a terminal without --no-input, or give the answer as a flag or file",
        { question },
      );
    },
  };
}
