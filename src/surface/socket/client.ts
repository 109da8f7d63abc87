import type { Event } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { lineMaximumBytes, protocolBroken, readAnswerLine, readProblem } from "./answer.ts";
import { callHeader } from "./call-header.ts";

/** How long a caller that asked for a stop waits for the command's last words, if nothing else is said. */
const patienceMs = 30_000;
/** How long a daemon may take to say that it lives. */
const probeMs = 3_000;

export interface DaemonCall {
  /** Aborting lets the command stop in order; its result or refusal still arrives. */
  readonly signal: AbortSignal;
  readonly patienceMs?: number;
  emit(event: Event): void;
}

/**
 * Calls a command of the daemon that listens on a socket, as the owner by locality; events are emitted
 * as they happen. When the signal aborts, the daemon is asked to let the command stop, and its last
 * words are awaited for `patienceMs`.
 *
 * Throws the refusal the daemon answered with, `daemon_lost` where it died or closed before the end,
 * `daemon_protocol` where it speaks another version.
 */
export async function callDaemon(
  socketPath: string,
  name: string,
  parameters: unknown,
  call: DaemonCall,
): Promise<unknown> {
  const id = crypto.randomUUID();
  const connection = new AbortController();
  let patience: ReturnType<typeof setTimeout> | null = null;
  const stop = () => {
    const give = () => connection.abort(call.signal.reason as Error);
    patience = setTimeout(give, call.patienceMs ?? patienceMs);
    stopCall(socketPath, id).catch(give);
  };
  call.signal.addEventListener("abort", stop, { once: true });
  if (call.signal.aborted) throw call.signal.reason as Error;
  try {
    const response = await post(socketPath, name, parameters, {
      signal: connection.signal,
      headers: { accept: "application/x-ndjson", [callHeader]: id },
    });
    return await readAnswer(response, call);
  } catch (error) {
    if (connection.signal.aborted) throw call.signal.reason as Error;
    throw error instanceof Refusal || !isCut(error) ? error : daemonLost(name);
  } finally {
    if (patience !== null) clearTimeout(patience);
    call.signal.removeEventListener("abort", stop);
  }
}

/** True when a daemon answers on the socket. */
export async function answersOn(socketPath: string): Promise<boolean> {
  try {
    const response = await fetch("http://localhost/healthz", {
      unix: socketPath,
      signal: AbortSignal.timeout(probeMs),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function stopCall(socketPath: string, id: string): Promise<void> {
  const response = await post(socketPath, "daemon/stop-call", { call: id }, {});
  if (!response.ok) throw new Error(`status ${response.status}`);
}

function post(
  socketPath: string,
  name: string,
  parameters: unknown,
  options: { readonly signal?: AbortSignal; readonly headers?: Readonly<Record<string, string>> },
): Promise<Response> {
  const init: BunFetchRequestInit = {
    unix: socketPath,
    method: "POST",
    // A training may be silent for longer than any limit of a client.
    timeout: false,
    headers: { "content-type": "application/json", ...options.headers },
    body: JSON.stringify(parameters),
  };
  return fetch(`http://localhost/commands/${name}`, {
    ...init,
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

class Cut extends Error {}

/** True when the connection ended before the answer did: a Bun error with a code, or none of our own. */
function isCut(error: unknown): boolean {
  return error instanceof Cut || typeof (error as { code?: unknown } | null)?.code === "string";
}

async function readAnswer(response: Response, call: DaemonCall): Promise<unknown> {
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("application/x-ndjson")) {
    const text = await response.text();
    if (type.startsWith("application/problem+json")) throw readProblem(text);
    throw protocolBroken(`it answered ${response.status} ${type}`);
  }
  for await (const text of linesOf(response)) {
    // An empty line only says that the daemon lives.
    if (text === "") continue;
    const line = readAnswerLine(text);
    if (line.kind === "event") call.emit(line.event);
    else if (line.kind === "failure") throw line.error;
    else return line.result;
  }
  throw new Cut("the answer has no end");
}

/** The lines of a body as they arrive. */
async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    const parts = decoder.decode(chunk, { stream: true }).split("\n");
    for (const part of parts.slice(0, -1)) {
      yield [...pieces, part].join("");
      pieces = [];
      sizeBytes = 0;
    }
    const rest = parts.at(-1)!;
    pieces.push(rest);
    sizeBytes += rest.length;
    if (sizeBytes > lineMaximumBytes) throw protocolBroken("a line of its answer has no end");
  }
  if (pieces.some((piece) => piece !== "")) throw new Cut("the last line has no end");
}

function daemonLost(name: string): Refusal {
  return new Refusal(
    "daemon_lost",
    `the daemon ended before it had answered ${name.replaceAll("/", " ")}`,
    "what it acknowledged is safe; `psionic up --detach` starts it again and goes on with what was running, `psionic logs` says what happened",
    { command: name },
  );
}
