import { backoffMs, EventReader } from "../event-reader.ts";
import { Cell } from "./cell.ts";
import { request, wasCancelled } from "./node-client.ts";
import { token } from "./session.ts";

/** An entry of the node's journal. */
export interface Happening {
  readonly type: string;
  readonly subject: string;
  readonly atMs: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export type LiveState = "connecting" | "live" | "reconnecting" | "paused";
export const liveState = new Cell<LiveState>("connecting");

type Listener = (happening: Happening) => void;
const listeners = new Set<Listener>();

/** Calls back with everything that happens on the node; `reset` when something was missed. */
export function onHappening(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const reset: Happening = { type: "reset", subject: "", atMs: 0, body: {} };
const tell = (happening: Happening) => {
  for (const listener of listeners) listener(happening);
};

let lastId = "";
let connection: AbortController | null = null;

function happeningOf(name: string, data: string): Happening {
  if (name === "reset") return reset;
  const entry = JSON.parse(data) as Partial<Happening>;
  return {
    type: entry.type ?? name,
    subject: entry.subject ?? "",
    atMs: entry.atMs ?? 0,
    body: entry.body ?? {},
  };
}

/** Reads one connection to its end. */
async function read(signal: AbortSignal, onOpen: () => void): Promise<void> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (lastId !== "") headers["last-event-id"] = lastId;
  const response = await request("/events", { headers, signal, cache: "no-store" });
  onOpen();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const events = new EventReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const { name, data } of events.push(value)) tell(happeningOf(name, data));
    if (events.lastId !== "") lastId = events.lastId;
  }
}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

async function keepConnected(signal: AbortSignal): Promise<void> {
  let attempt = 0;
  let wasOpen = false;
  while (!signal.aborted) {
    try {
      await read(signal, () => {
        attempt = 0;
        liveState.value = "live";
        // What was missed without an id to resume from is found by asking anew.
        if (wasOpen && lastId === "") tell(reset);
        wasOpen = true;
      });
    } catch (error) {
      if (wasCancelled(error)) return;
    }
    if (signal.aborted || token.value === null) return;
    liveState.value = "reconnecting";
    await pause(backoffMs(attempt++), signal);
  }
}

function connect(): void {
  connection?.abort();
  connection = null;
  if (token.value === null) return;
  // A browser opens six connections to a host. Hidden tabs give theirs back.
  if (document.hidden) {
    liveState.value = "paused";
    return;
  }
  if (liveState.value !== "live") liveState.value = "connecting";
  connection = new AbortController();
  void keepConnected(connection.signal);
}

/** Watches the node for as long as the page is open and signed in. */
export function watchNode(): void {
  token.watch(() => {
    lastId = "";
    connect();
  });
  document.addEventListener("visibilitychange", connect);
  connect();
}
