import { dlopen, type Pointer } from "bun:ffi";
import { readFileSync, writeFileSync } from "node:fs";
import libraryPath from "#kernels" with { type: "file" };
import { Refusal } from "#src/refusal/refusal.ts";

const symbols = {
  psi_lanes: { args: [], returns: "i32" },
  psi_team_open: { args: ["i32", "i32"], returns: "ptr" },
  psi_team_close: { args: ["ptr"], returns: "void" },
  psi_scratch_sizes: { args: ["ptr", "ptr", "i64", "ptr"], returns: "void" },
  psi_run: {
    args: ["ptr", "ptr", "i64", "i64", "ptr", "i64", "i64"],
    returns: "i64",
  },
  psi_allocate: { args: ["i64"], returns: "ptr" },
  psi_release: { args: ["ptr"], returns: "void" },
  psi_copy_memory: { args: ["ptr", "ptr", "i64"], returns: "void" },
  psi_peak_flops: { args: ["i32", "i32", "f64"], returns: "f64" },
  psi_copy_bandwidth: { args: ["i32", "i32", "f64"], returns: "f64" },
  psi_die_with_parent: { args: [], returns: "i32" },
} as const;

function open() {
  try {
    return dlopen(libraryPath, symbols).symbols;
  } catch (cause) {
    return openFromMemory(cause);
  }
}

/**
 * The way in where no directory can hold an executable file (noexec or read-only temporary directory):
 * the library's bytes go to an anonymous file and are loaded from there. Linux only.
 */
function openFromMemory(cause: unknown) {
  try {
    const system = dlopen("libc.so.6", {
      memfd_create: { args: ["cstring", "u32"], returns: "i32" },
    }).symbols;
    const descriptor = system.memfd_create(new TextEncoder().encode("psionic_kernels\0"), 0);
    if (descriptor < 0) throw new Error("memfd_create failed");
    const path = `/proc/self/fd/${descriptor}`;
    writeFileSync(path, readFileSync(libraryPath));
    return dlopen(path, symbols).symbols;
  } catch {
    throw new Refusal(
      "backend_unavailable",
      `the kernel library could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      "Set TMPDIR to a writable directory that allows execution, and check that the download was complete.",
    );
  }
}

let opened: ReturnType<typeof open> | undefined;

/** The kernel library's functions; loaded at first use. Every caller passes all arguments. */
export function kernels(): ReturnType<typeof open> {
  return (opened ??= open());
}

/** Zeroed native memory of at least `sizeBytes`, or a refusal that says how much was asked for. */
export function allocateNative(sizeBytes: number): Pointer {
  const pointer = kernels().psi_allocate(sizeBytes);
  if (pointer === null) {
    throw new Refusal(
      "out_of_memory",
      `${(sizeBytes / 2 ** 20).toFixed(0)} MiB of memory could not be had`,
      "Choose a smaller --size or --batch, or close other programs.",
      { sizeBytes },
    );
  }
  return pointer as Pointer;
}

/** Kills this process when its parent dies, as far as the system can do that. */
export function dieWithParent(): boolean {
  return kernels().psi_die_with_parent() === 1;
}
