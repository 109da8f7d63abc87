import { LineReader } from "../event-reader.ts";
import { signOut, token } from "./session.ts";

/** What the node says no to, or that it does not answer: always with one thing to try. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

export function asRefused(error: unknown): Refused {
  if (error instanceof Refused) return error;
  return new Refused("page_failure", String(error), "Reload the page.");
}

export function wasCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

interface Problem {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly message?: string;
  readonly hint?: string;
}

function refusedBy(problem: Problem, status: number): Refused {
  return new Refused(
    problem.code ?? `http_${status}`,
    problem.detail ?? problem.message ?? problem.title ?? `the node answered ${status}`,
    problem.hint ?? "",
  );
}

/** A request to this node with the operator's token. A token it does not take ends the session. */
export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { ...options.headers, authorization: `Bearer ${token.value ?? ""}` },
    });
  } catch (error) {
    if (wasCancelled(error)) throw error;
    const hint = "Look whether it runs (psionic status) and start it (psionic up).";
    throw new Refused("node_unreachable", "the node does not answer", hint);
  }
  if (response.ok) return response;
  if (response.status === 401) signOut(true);
  const problem = (await response.json().catch(() => ({}))) as Problem;
  throw refusedBy(problem, response.status);
}

const post = (name: string, parameters: object, accept: string, signal: AbortSignal | undefined) =>
  request(`/commands/${name}`, {
    method: "POST",
    headers: { accept, "content-type": "application/json" },
    body: JSON.stringify(parameters),
    ...(signal ? { signal } : {}),
  });

/** Calls a command and gives its result; a refusal is thrown as `Refused`. */
export async function call<T>(
  name: string,
  parameters: object = {},
  signal?: AbortSignal,
): Promise<T> {
  const response = await post(name, parameters, "application/json", signal);
  return (await response.json()) as T;
}

interface Frame {
  readonly event?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly refusal?: Problem;
  readonly bug?: { readonly message?: string };
}

/** Calls a command and passes on its events as they come. Aborting the signal ends the command. */
export async function stream<T>(
  name: string,
  parameters: object,
  onEvent: (event: Readonly<Record<string, unknown>>) => void,
  signal: AbortSignal,
): Promise<T> {
  const response = await post(name, parameters, "application/x-ndjson", signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const lines = new LineReader();
  let outcome: Frame | null = null;
  const take = (line: string) => {
    if (line.trim() === "") return;
    const frame = JSON.parse(line) as Frame;
    if (frame.event) onEvent(frame.event);
    else outcome = frame;
  };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    for (const line of lines.push(value)) take(line);
  }
  take(lines.end());
  const last = outcome as Frame | null;
  if (last?.refusal) throw refusedBy(last.refusal, response.status);
  if (last && "result" in last) return last.result as T;
  const said = last?.bug?.message ?? "the answer ended early";
  throw new Refused("answer_incomplete", said, "Look at the node's log: psionic logs.");
}
