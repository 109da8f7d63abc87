import { entry, type CodeEntry } from "./entry.ts";

/** The daemon: reaching it, starting it, ending it, and what it runs. */
export const daemonCodes = {
  daemon_absent: entry(
    15,
    503,
    true,
    "The command works in a running daemon and none has this home. `psionic up --detach` starts one.",
  ),
  daemon_lost: entry(
    15,
    503,
    true,
    "The daemon ended, or closed the connection, before it had answered. What it acknowledged is on disk: runs go on from their last checkpoint when it is started again with `psionic up`. `psionic logs` and `psionic status` say what happened.",
  ),
  daemon_protocol: entry(
    14,
    502,
    false,
    "The daemon of this home is of another version than the program that called it, and they do not understand each other. `psionic down` and `psionic up --detach` start the version you have.",
  ),
  daemon_busy: entry(
    11,
    503,
    true,
    "The daemon is doing as much at once as it allows itself, and as much is waiting. Try again when something has ended.",
  ),
  daemon_not_ready: entry(
    15,
    503,
    true,
    "The daemon was started but did not answer in time, or ended first. The last lines of its log stand in the message; `psionic logs` shows more.",
  ),
  daemon_not_stopped: entry(
    14,
    503,
    true,
    "The daemon could not be ended, not even by force: the system does not allow it, or its process cannot be told from another. End it as the user who started it.",
  ),
  command_crashed: entry(
    15,
    500,
    true,
    "The process in which the daemon ran the command died. The daemon and everything else go on. If it happens again with the same command, it is a bug or failing hardware; `psionic logs` names the signal.",
  ),
  port_taken: entry(
    11,
    409,
    true,
    "Another program listens on the port. The daemon never takes another one in silence: name a free one with --port, or 0 for any.",
  ),
  host_not_loopback: entry(
    14,
    400,
    false,
    "The daemon's page and commands are served on this machine only, unless --allow-remote is given: whoever reaches the port and has the token owns the node, and the token travels unencrypted. Prefer an SSH tunnel to the loopback address.",
  ),
  daemon_stopping: entry(
    11,
    503,
    true,
    "The daemon is stopping and takes no new work. Start it again with `psionic up`, or call the command without it.",
  ),
  address_unavailable: entry(
    14,
    412,
    false,
    "The machine does not let psionic listen there: the address is not its own, or the port needs other rights.",
  ),
} as const satisfies Record<string, CodeEntry>;
