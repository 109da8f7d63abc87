import { readFrames } from "#src/peer/framing.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { readProblem } from "./answer.ts";

/**
 * Hands one document of a peer to the daemon that listens on a socket, and passes its frames on as
 * they come. Aborting the signal stops the command there.
 *
 * Throws the refusal the daemon answered with instead of frames, and `envelope_malformed` where its
 * answer ends inside a frame.
 */
export async function answerByDaemon(
  socketPath: string,
  document: Uint8Array,
  send: (frame: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const init: BunFetchRequestInit = {
    unix: socketPath,
    method: "POST",
    // A command may be silent for longer than any limit of a client.
    timeout: false,
    headers: { "content-type": "application/octet-stream" },
    body: document,
    signal,
  };
  try {
    const response = await fetch("http://localhost/peer", init);
    if (!response.ok) throw readProblem(await response.text());
    if (response.body === null) return;
    for await (const frame of readFrames(response.body)) send(frame);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof Refusal ? error : daemonLost();
  }
}

function daemonLost(): Refusal {
  return new Refusal(
    "daemon_lost",
    "the daemon ended before it had answered a peer",
    "call again; `psionic logs` on that machine says what happened",
  );
}
