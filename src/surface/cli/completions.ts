import type { AnyCommand } from "#src/command/registry.ts";
import { parameterSchema } from "#src/command/schema.ts";
import { globalOptions } from "./globals.ts";
import { choicesOf, isFlag, kebab, letterOf } from "./parameter.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

interface Option {
  /** `--steps` */
  readonly name: string;
  /** `-n` where there is a letter for it. */
  readonly short?: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** One place in the tree of words: what may come next there. */
interface Place {
  /** `identity show`; empty at the root. */
  readonly words: string;
  readonly next: readonly { readonly word: string; readonly summary: string }[];
  readonly options: readonly Option[];
  /** Choices of the first bare word, where it has some. */
  readonly choices: readonly string[];
}

/** The tree of words of all commands, for a script to walk. */
function placesOf(commands: readonly AnyCommand[]): Place[] {
  const names = new Set([""]);
  for (const { name } of commands) {
    const words = name.split("/");
    for (let count = 1; count <= words.length; count++) names.add(words.slice(0, count).join(" "));
  }
  return [...names].map((words) => {
    const command = commands.find(({ name }) => name.replaceAll("/", " ") === words);
    const depth = words === "" ? 0 : words.split(" ").length;
    const next = new Map<string, string>();
    for (const { name, summary } of commands) {
      const path = name.split("/");
      if (path.length <= depth || path.slice(0, depth).join(" ") !== words) continue;
      const word = path[depth]!;
      const isLast = path.length === depth + 1;
      if (isLast || !next.has(word)) next.set(word, isLast ? summary : `${word} commands`);
    }
    const properties = command ? (parameterSchema(command).properties ?? {}) : {};
    const first = properties[command?.positional?.[0] ?? ""];
    return {
      words,
      next: [...next].map(([word, summary]) => ({ word, summary })),
      options: [
        ...Object.entries(properties).map(([key, schema]) => ({
          name: `--${isFlag(schema) && schema.default === true ? "no-" : ""}${kebab(key)}`,
          ...shortOf(command, key),
          description: schema.description ?? "",
          takesValue: !isFlag(schema),
          choices: choicesOf(schema),
        })),
        ...globalOptions.map(({ name, takes, description }) => ({
          name: `--${name}`,
          description,
          takesValue: takes !== undefined,
          choices: [],
        })),
      ],
      choices: first ? choicesOf(first) : [],
    };
  });
}

function shortOf(command: AnyCommand | undefined, key: string): { short?: string } {
  const letter = command === undefined ? undefined : letterOf(command, key);
  return letter === undefined ? {} : { short: `-${letter}` };
}

/** Both writings of an option. */
const writings = ({ name, short }: Option) => (short === undefined ? [name] : [short, name]);

export function completionScript(shell: Shell, commands: readonly AnyCommand[]): string {
  const places = placesOf(commands);
  if (shell === "bash") return bashScript(places);
  return shell === "zsh" ? zshScript(places) : fishScript(places);
}

/** Shell text in single quotes. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const listed = (words: readonly string[]) => quoted(words.join(" "));

function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ words, next, options, choices }) => {
    const bare = [...next.map(({ word }) => word), ...choices];
    const names = options.flatMap(writings);
    return `    ${quoted(words)}) bare=${listed(bare)}; options=${listed(names)} ;;`;
  });
  const values = places.flatMap(({ words, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .flatMap((option) =>
        writings(option).map(
          (name) => `    ${quoted(`${words} ${name}`)}) values=${listed(option.choices)} ;;`,
        ),
      ),
  );
  const known = places.flatMap(({ words }) => (words === "" ? [] : [quoted(words)]));
  return `# bash completion for psionic: psionic completions bash > ~/.local/share/bash-completion/completions/psionic
_psionic() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local place='' bare='' options='' values='' index word
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    [[ $word == -* ]] && continue
    case "\${place:+$place }$word" in
    ${known.join(" | ")}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join("\n")}
  esac
  case "$place $previous" in
${values.length > 0 ? values.join("\n") : "    '') ;;"}
  esac
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$bare" -- "$current"))
  fi
}
complete -o default -F _psionic psionic
`;
}

function zshScript(places: readonly Place[]): string {
  const described = (name: string, text: string) =>
    quoted(`${name}:${text.replaceAll(":", "\\:").replaceAll("\n", " ")}`);
  const cases = places.map(({ words, next, options, choices }) => {
    const bare = [
      ...next.map(({ word, summary }) => described(word, summary)),
      ...choices.map((choice) => described(choice, "")),
    ];
    const names = options.flatMap((option) =>
      writings(option).map((name) => described(name, option.description)),
    );
    return `    ${quoted(words)}) bare=(${bare.join(" ")}); options=(${names.join(" ")}) ;;`;
  });
  const values = places.flatMap(({ words, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .flatMap((option) => {
        const items = option.choices.map((choice) => quoted(choice)).join(" ");
        return writings(option).map(
          (name) => `    ${quoted(`${words} ${name}`)}) values=(${items}) ;;`,
        );
      }),
  );
  const known = places.flatMap(({ words }) => (words === "" ? [] : [quoted(words)]));
  return `#compdef psionic
# zsh completion for psionic: psionic completions zsh > a folder of $fpath, as _psionic
_psionic() {
  local place='' word
  local -a bare options values
  for word in \${words[2,CURRENT-1]}; do
    [[ $word == -* ]] && continue
    case "\${place:+$place }$word" in
    ${known.join(" | ")}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join("\n")}
  esac
  case "$place \${words[CURRENT-1]}" in
${values.length > 0 ? values.join("\n") : "    '') ;;"}
  esac
  if (( \${#values} )); then
    compadd -a values
  elif [[ \${words[CURRENT]} == -* ]]; then
    _describe option options
  elif (( \${#bare} )); then
    _describe command bare
  else
    _files
  fi
}
if [[ \${funcstack[1]-} == _psionic ]]; then _psionic "$@"; else compdef _psionic psionic; fi
`;
}

function fishScript(places: readonly Place[]): string {
  const lines = [
    "# fish completion for psionic: psionic completions fish > ~/.config/fish/completions/psionic.fish",
    "function __psionic_at",
    "  set -l place ''",
    "  for word in (commandline -opc)[2..-1]",
    "    string match -q -- '-*' $word; and continue",
    '    set -l longer (string trim -- "$place $word")',
    `    contains -- $longer ${places.map(({ words }) => quoted(words)).join(" ")}; and set place $longer`,
    "  end",
    '  test "$place" = "$argv[1]"',
    "end",
  ];
  for (const { words, next, options, choices } of places) {
    const condition = `-n ${quoted(`__psionic_at ${quoted(words)}`)}`;
    if (next.length + choices.length > 0) lines.push(`complete -c psionic ${condition} -f`);
    for (const { word, summary } of next) {
      lines.push(`complete -c psionic ${condition} -a ${quoted(word)} -d ${quoted(summary)}`);
    }
    if (choices.length > 0) lines.push(`complete -c psionic ${condition} -a ${listed(choices)}`);
    for (const option of options) {
      const values = option.choices.length > 0 ? ` -x -a ${listed(option.choices)}` : " -r";
      lines.push(
        `complete -c psionic ${condition} ${option.short ? `-s ${option.short.slice(1)} ` : ""}-l ${option.name.slice(2)}${option.takesValue ? values : ""} -d ${quoted(option.description)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
