import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/**
 * A clock of its own for one process: a library loaded before all others adds to the time of day what stands
 * in a file, which may change while the process runs. Time that only measures how long things take is
 * left alone, as it is when somebody sets a machine's clock.
 */
const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *offset_seconds;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("CLOCK_OFFSET_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) abort();
  void *map = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) abort();
  offset_seconds = map;
}

static int64_t offset(void) { return offset_seconds ? *offset_seconds : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
  int result = real(now, zone);
  if (result == 0) now->tv_sec += offset();
  return result;
}

time_t time(time_t *place) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place) *place = now.tv_sec;
  return now.tv_sec;
}
`;

/** Why no process can have a clock of its own here, or null. On CI a reason is a failure. */
export function whyNoClock(): string | null {
  if (process.platform !== "linux") return "a library before all others is Linux's";
  return Bun.which("cc") === null ? "cc is not installed" : null;
}

/** A clock that is set by hand. */
export class OwnClock {
  readonly #file: string;
  readonly #library: string;

  /** Its files lie in this folder. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, "offset");
    this.#library = join(folder, "clock.so");
    this.set(0);
    const code = join(folder, "clock.c");
    writeFileSync(code, source);
    const words = ["cc", "-shared", "-fPIC", "-O2", "-o", this.#library, code];
    const { exitCode, stderr } = Bun.spawnSync(words, { stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`the clock did not compile: ${stderr.toString()}`);
  }

  /** What a process is started with that goes by this clock. */
  get environment(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, CLOCK_OFFSET_FILE: this.#file };
  }

  /** Puts it so many seconds ahead of the machine's, at once; behind it where negative. */
  set(seconds: number): void {
    const file = openSync(this.#file, existsSync(this.#file) ? "r+" : "w");
    // Written in place: the processes have the file mapped.
    writeSync(file, new BigInt64Array([BigInt(Math.round(seconds))]), 0, 8, 0);
    closeSync(file);
  }
}
