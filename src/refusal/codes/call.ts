import { entry, type CodeEntry } from "./entry.ts";

/** What may be wrong with a call as such, through whichever door it came. */
export const callCodes = {
  usage: entry(
    2,
    400,
    false,
    "The words or parameters of the command were not understood. `--help` after the command shows what it takes.",
  ),
  unknown_command: entry(
    2,
    404,
    false,
    "No command of that name exists. `psionic commands` lists them all.",
  ),
  not_authorised: entry(
    12,
    403,
    false,
    "The caller may not use this command. Its access level and the caller's trust decide; an inner call is judged by the original caller.",
  ),
  input_needed: entry(
    2,
    400,
    false,
    "The command had to ask something and nobody could answer: --no-input was given or there is no terminal. Give the answer as a flag or a file.",
  ),
  configuration_wrong: entry(
    2,
    400,
    false,
    "psionic.toml or a PSIONIC_* variable says something that is not understood. The message names the place; `psionic config show` shows what counts.",
  ),
  interrupted: entry(
    130,
    499,
    true,
    "Ctrl-C or a termination signal stopped the work. Acknowledged state was kept; run the command again to go on.",
  ),
} as const satisfies Record<string, CodeEntry>;
