import { readFileSync } from "node:fs";
import { join } from "node:path";
import { machineRandom } from "#src/node/random.ts";
import { sealCall, type Signer } from "#src/peer/envelope.ts";
import { frameOf } from "#src/peer/framing.ts";
import { binaryPath, start } from "./binary.ts";

/** How a caller at a door heard of the end of its call. */
export type Answer =
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "refusal"; readonly refusal: Record<string, unknown> }
  /** Nobody answered, or not to the end: it may have happened or not. */
  | { readonly kind: "cut" };

export const codeIn = (answer: Answer) =>
  answer.kind === "refusal" ? String(answer.refusal["code"]) : answer.kind;

/** Calls a command, or asks `GET /path`, on the socket of a home. */
export function askSocket(
  home: string,
  what: string,
  parameters: object = {},
  signal?: AbortSignal,
): Promise<Answer> {
  const unix = join(home, "psionic.sock");
  return asked("http://localhost", what, parameters, { unix, ...(signal ? { signal } : {}) });
}

/** Calls a command over TCP with the operator's token. */
export async function askTcp(home: string, what: string, parameters: object): Promise<Answer> {
  try {
    const { url } = JSON.parse(readFileSync(join(home, "daemon.json"), "utf8")) as { url: string };
    const token = readFileSync(join(home, "identity/operator.token"), "utf8").trim();
    return await asked(url, what, parameters, { headers: { authorization: `Bearer ${token}` } });
  } catch {
    return { kind: "cut" };
  }
}

async function asked(
  base: string,
  what: string,
  parameters: object,
  options: BunFetchRequestInit,
): Promise<Answer> {
  const isGet = what.startsWith("GET ");
  const path = isGet ? what.slice(4) : `/commands/${what}`;
  const request: BunFetchRequestInit = isGet
    ? {}
    : { method: "POST", body: JSON.stringify(parameters) };
  const headers = {
    ...(isGet ? {} : { "content-type": "application/json" }),
    ...(options.headers as Record<string, string> | undefined),
  };
  try {
    const response = await fetch(`${base}${path}`, {
      ...{ keepalive: false, ...request, ...options, headers },
    });
    const answer = (await response.json()) as Record<string, unknown>;
    return response.ok ? { kind: "result", result: answer } : { kind: "refusal", refusal: answer };
  } catch {
    return { kind: "cut" };
  }
}

interface PeerRequest {
  readonly recipient: string;
  readonly name: string;
  readonly grant: Record<string, unknown>;
}

const sealed = (signer: Signer, request: PeerRequest) =>
  new Uint8Array(
    frameOf(
      sealCall(signer, {
        ...{ ...request, parameters: {}, rotations: [] },
        ...{ nowMs: Date.now(), random: machineRandom },
      }),
    ),
  );

/** A sealed call of a peer, brought to the socket by itself. */
export async function askPeer(home: string, signer: Signer, to: PeerRequest): Promise<Answer> {
  try {
    const response = await fetch("http://localhost/peer", {
      ...{ unix: join(home, "psionic.sock"), method: "POST", keepalive: false },
      headers: { "content-type": "application/octet-stream" },
      body: sealed(signer, to).slice(4),
    });
    if (!response.ok)
      return { kind: "refusal", refusal: (await response.json()) as Record<string, unknown> };
    return lastFrame(await response.bytes());
  } catch {
    return { kind: "cut" };
  }
}

/** A sealed call of a peer through `peer pipe`, with or without a daemon behind it. */
export async function askPipe(home: string, signer: Signer, to: PeerRequest): Promise<Answer> {
  const child = start([await binaryPath(), "peer", "pipe"], home, { stdin: sealed(signer, to) });
  const [bytes] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  return lastFrame(bytes, 1);
}

/** What the last of the frames says, after so many that answer nothing. */
function lastFrame(bytes: Uint8Array, before = 0): Answer {
  const frames: Record<string, unknown>[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + 4 + view.getUint32(at, true);
    if (end > bytes.length) return { kind: "cut" };
    const text = new TextDecoder().decode(bytes.subarray(at + 4, end));
    frames.push(JSON.parse(text) as Record<string, unknown>);
    at = end;
  }
  const last = frames.slice(before).at(-1);
  if (last?.["last"] !== true) return { kind: "cut" };
  return last["kind"] === "result"
    ? { kind: "result", result: last["body"] }
    : { kind: "refusal", refusal: last["body"] as Record<string, unknown> };
}

/** A policy, revision 1 of `look`, under which the owner may call everything. */
export const lookPolicy = `
name = "look"
revision = 1
summary = "The owner may look"

[[rules]]
id = "owner"
when = 'caller.trust == "owner"'
outcome = "allow"
reason = "the owner asks"
`;
