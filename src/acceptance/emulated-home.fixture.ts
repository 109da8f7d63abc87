import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { armBinaryPath, armCommand, start } from "./binary.ts";
import { lives, until } from "./daemon.fixture.ts";
import { askSocket } from "./storm-doors.fixture.ts";
import { type RunRecord, Trainer } from "./windows.fixture.ts";

/**
 * A daemon of the arm64 program, emulated where this machine is another, with the processes that it starts. Those are
 * started as the kernel's own name of the running program, which it does not take from an emulated one: a small
 * library puts the emulator before it. What is typed is this machine's program, on the same home.
 */
const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

enum { word_count = 64 };

int execve(const char *path, char *const words[], char *const environment[]) {
  int (*next)(const char *, char *const *, char *const *) = dlsym(RTLD_NEXT, "execve");
  if (strcmp(path, "/proc/self/exe") != 0) return next(path, words, environment);
  char image[4096];
  ssize_t size = readlink(path, image, sizeof image - 1);
  if (size < 0) return -1;
  image[size] = 0;
  char *emulated[word_count + 1] = {EMULATOR, "-L", LIBRARIES, image};
  int count = 4;
  for (int index = 1; words[0] && words[index] && count < word_count; index++) emulated[count++] = words[index];
  return next(emulated[0], emulated, environment);
}
`;

/** The library as a file in a folder; null where nothing is emulated. */
function childLibrary(folder: string): string | null {
  const [emulator, , libraries] = armCommand([""]);
  if (process.arch === "arm64") return null;
  const [code, library] = [join(folder, "children.c"), join(folder, "children.so")];
  writeFileSync(code, source);
  const places = [`-DEMULATOR="${Bun.which(emulator!)}"`, `-DLIBRARIES="${libraries}"`];
  const { exitCode, stderr } = Bun.spawnSync(
    ["aarch64-linux-gnu-gcc", "-O1", "-shared", "-fPIC", ...places, "-o", library, code, "-ldl"],
    { stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(`the library did not compile: ${stderr.toString()}`);
  return library;
}

export class EmulatedTrainer extends Trainer {
  #daemon: Bun.Subprocess<"ignore" | Blob, "pipe", "pipe"> | null = null;

  /** Joins a mesh with the words of its line; the daemon lives until this is disposed of. */
  async enter(words: readonly string[]): Promise<void> {
    const library = childLibrary(this.folder.path);
    const free = ["--port", "0", "--peer-port", "0"];
    const command = armCommand([await armBinaryPath(), ...words, ...free]);
    const daemon = start(command, this.path, {
      environment: library === null ? {} : { LD_PRELOAD: library },
      timeoutMs: 3_600_000,
    });
    this.#daemon = daemon;
    const said = daemon.stderr.text();
    void daemon.stdout.text();
    const ended = daemon.exited.then(async (status) => {
      throw new Error(`the emulated daemon ended with ${status}: ${await said}`);
    });
    ended.catch(() => {});
    await Promise.race([ended, until("the emulated daemon is there", () => this.hasFile)]);
  }

  /** Asked at its socket: a command line takes an emulated daemon for one that has ended. */
  override async records(run: string): Promise<RunRecord[]> {
    const answer = await askSocket(this.path, "run/records", { run });
    if (answer.kind === "result") return (answer.result as { records: RunRecord[] }).records;
    throw new Error(JSON.stringify(answer));
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    const daemon = this.#daemon;
    if (daemon === null) return;
    daemon.kill("SIGKILL");
    await until("the emulated daemon is gone", () => !lives(daemon.pid));
  }
}
