import { setPriority } from "node:os";
import type {
  ChildProcess,
  OwnCommand,
  ParentProcess,
  Processes,
  Program,
  Programs,
} from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { ownCommand } from "./daemon/own-command.ts";

/** Characters of a command's talk that are kept: its end. */
const talkMaximum = 16_384;

/** How far a child that asked for it steps back behind what people do at the machine. */
const lowerPriority = 10;

/** The hidden first word that starts a role: `trainer` is `__trainer`. */
export const rolePrefix = "__";

/**
 * The executable as it was when this process started: on Linux the running image itself, so
 * that a child is the same build even when the file was replaced meanwhile.
 */
function ownImage(): string {
  return process.platform === "linux" ? "/proc/self/exe" : process.execPath;
}

/** Starts a child; refuses with `backend_unavailable` where the system has no process or file to give. */
export function started<Child>(spawn: () => Child): Child {
  try {
    return spawn();
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? "";
    if (!/^E[A-Z0-9]+$/.test(errno)) throw error;
    throw new Refusal(
      "backend_unavailable",
      `the process that computes could not be started: the system says ${errno}`,
      "close other programs, or allow more processes and open files (ulimit -u, ulimit -n)",
      { errno },
    );
  }
}

/** Starts another program; refuses with `program_unavailable` where that fails. */
function startedProgram<Child>(words: readonly string[], spawn: () => Child): Child {
  try {
    return spawn();
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? "";
    if (!/^E[A-Z0-9]+$/.test(errno)) throw error;
    throw new Refusal(
      "program_unavailable",
      `${words[0] ?? "a program without a name"} could not be started: the system says ${errno}`,
      "name a program that is installed, by its path where it is not in PATH",
      { program: words[0] ?? "", errno },
    );
  }
}

export interface OwnProcesses extends Processes, Programs {
  /** Ends every child still running, at once. */
  killAll(): void;
}

/**
 * Children of this executable, each in a role, working on the same home. Their stdout joins
 * our stderr.
 */
export function machineProcesses(homeRoot: string): OwnProcesses {
  const running = new Set<Bun.Subprocess>();
  const ended = (child: Bun.Subprocess): ChildProcess["exited"] =>
    child.exited.then(() => {
      running.delete(child);
      return { status: child.exitCode, signal: child.signalCode?.toString() ?? null };
    });
  return {
    spawnSelf(role, onMessage, options = {}): ChildProcess {
      const word = rolePrefix + role;
      const child = started(() =>
        Bun.spawn({
          cmd: Bun.isStandaloneExecutable ? [ownImage(), word] : [process.execPath, Bun.main, word],
          env: { ...process.env, PSIONIC_HOME: homeRoot, ...options.environment },
          stdio: ["ignore", 2, 2],
          serialization: "advanced",
          ipc: (message) => onMessage(message),
        }),
      );
      running.add(child);
      if (options.lowerPriority) {
        try {
          setPriority(child.pid, lowerPriority);
        } catch {
          // The child may have ended already; `exited` tells.
        }
      }
      return {
        pid: child.pid,
        send: (message) => child.send(message),
        kill: (signal) => child.kill(signal),
        exited: ended(child),
      };
    },
    spawnProgram(words): Program {
      const child = startedProgram(words, () =>
        Bun.spawn({ cmd: [...words], stdio: ["pipe", "pipe", "inherit"] }),
      );
      running.add(child);
      return {
        pid: child.pid,
        async write(bytes) {
          await child.stdin.write(bytes);
          await child.stdin.flush();
        },
        endInput: () => void child.stdin.end(),
        output: child.stdout,
        kill: (signal) => child.kill(signal),
        exited: ended(child),
      };
    },
    spawnCommand(words, environment = {}): OwnCommand {
      const child = started(() =>
        Bun.spawn({
          cmd: ownCommand(words),
          env: { ...process.env, ...environment },
          stdio: ["ignore", "pipe", "pipe"],
        }),
      );
      running.add(child);
      let talk = "";
      const decoder = new TextDecoder();
      void (async () => {
        for await (const piece of child.stderr)
          talk = (talk + decoder.decode(piece, { stream: true })).slice(-talkMaximum);
      })().catch(() => {});
      return {
        pid: child.pid,
        output: child.stdout.text(),
        talk: () => talk,
        kill: (signal) => child.kill(signal),
        exited: ended(child),
      };
    },
    killAll() {
      for (const child of running) child.kill("SIGKILL");
    },
  };
}

/**
 * The process that started this one in a role. A terminal's Ctrl-C reaches both; only the
 * parent decides, so this process ignores it. When the parent goes away `gone` aborts.
 */
export function parentProcess(): ParentProcess {
  const gone = new AbortController();
  const waiting: unknown[] = [];
  let handler: ((message: unknown) => void) | null = null;
  process.on("SIGINT", () => {});
  process.on("SIGHUP", () => {});
  // Service managers and `timeout` signal the whole group; the parent stops this process in order.
  process.on("SIGTERM", () => {});
  process.on("message", (message) => {
    if (handler) handler(message);
    else waiting.push(message);
  });
  process.on("disconnect", () => gone.abort(new Error("the parent process has gone away")));
  return {
    send: (message) => void process.send?.(message),
    onMessage(next) {
      handler = next;
      for (const message of waiting.splice(0)) next(message);
    },
    gone: gone.signal,
  };
}
