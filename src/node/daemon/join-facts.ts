import type { JoinLine } from "./control.ts";
import type { DaemonFile } from "./daemon-file.ts";

/** How long the line that joins others may take before the daemon is told of without it. */
const joinLineMs = 2_500;

/** A signal that gives the line up. */
export const joinLineSignal = (signal: AbortSignal): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(joinLineMs)]);

/** As results and events carry a join line. */
export function joinFacts(join: JoinLine | null) {
  return {
    join: join?.line ?? null,
    joinPlace: join?.place ?? null,
    addresses: join === null ? [] : [...join.addresses],
  };
}

/** Asks a running daemon for its join line; null where it gives none. */
export async function joinLineOf(
  { socket }: DaemonFile,
  signal: AbortSignal,
): Promise<JoinLine | null> {
  try {
    const { callDaemon } = await import("#src/surface/socket/client.ts");
    const options = { signal: joinLineSignal(signal), emit() {} };
    const answer = await callDaemon(socket, "cluster/join-line", {}, options);
    return (answer as { readonly join: JoinLine | null }).join;
  } catch {
    // A daemon of another version, or one that stops: its address is told without the line.
    return null;
  }
}
