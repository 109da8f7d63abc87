import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { CommandContext, Services } from "#src/command/define.ts";
import { Registry, registry as declared, type AnyCommand } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/command/list.command.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";
import type { HttpLimits } from "./limits.ts";
import { listenHttp, type Listener } from "./listen.ts";
import type { HttpParts } from "./parts.ts";

/** A door on a free port and on a socket, over a home of its own, with commands that tests need. */
export interface TestDoor {
  readonly url: string;
  readonly port: number;
  readonly socket: string;
  readonly token: string;
  readonly folder: string;
  readonly services: Services;
  readonly registry: Registry;
  readonly parts: HttpParts;
  readonly listener: Listener;
  /** As anybody, unless the options carry a token. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** As the owner with the token. */
  own(path: string, init?: RequestInit): Promise<Response>;
  /** Sends raw bytes and gives the connection. */
  raw(text: string): Promise<RawClient>;
  close(): Promise<void>;
}

export interface RawClient {
  readonly socket: Socket;
  received(): string;
  /** Resolves when the other end has closed. */
  readonly closed: Promise<void>;
}

export const testToken = "t".repeat(43);

export interface TestOptions {
  readonly commands?: readonly AnyCommand[];
  readonly registry?: Registry;
  readonly limits?: Partial<HttpLimits>;
  readonly parts?: Partial<HttpParts>;
  readonly defaults?: Readonly<Record<string, unknown>>;
}

export async function openTestDoor(options: TestOptions = {}): Promise<TestDoor> {
  const folder = mkdtempSync(join(tmpdir(), "psionic-http-"));
  const composition = compose({ home: join(folder, "home"), interaction: noInteraction });
  const registry = options.registry ?? new Registry();
  if (options.registry === undefined) registry.declare(declared.get("commands/list")!);
  for (const command of options.commands ?? []) registry.declare(command);
  const services = Object.create(composition.services, {
    registry: { value: registry },
    configuration: { value: { defaultsFor: () => options.defaults ?? {}, settings: () => [] } },
  }) as Services;
  const parts: HttpParts = {
    registry,
    services,
    version: "1.2.3",
    token: testToken,
    assets: new Map(),
    draining: () => false,
    ready: async () => [],
    collectMetrics: async () => [],
    ...options.parts,
    ...(options.limits ? { limits: options.limits } : {}),
  };
  const listener = listenHttp(parts, { host: "127.0.0.1", port: 0 });
  const socket = join(folder, "door.sock");
  const local = listenHttp(parts, { socket });
  const url = listener.url!;
  const ask = (path: string, init: RequestInit = {}) => fetch(url + path, init);
  return {
    ...{ url, socket, folder, services, registry, parts, listener, ask },
    port: listener.port!,
    token: testToken,
    own: (path, init = {}) => ask(path, { ...init, headers: { ...owner, ...init.headers } }),
    raw: (text) => rawClient(listener.port!, text),
    async close() {
      await Promise.all([listener.stop(), local.stop()]);
      composition.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const owner = { authorization: `Bearer ${testToken}` };

export function rawClient(port: number, text: string | Uint8Array): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const closed = Promise.withResolvers<void>();
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(text);
      resolve({
        socket,
        received: () => Buffer.concat(pieces).toString("latin1"),
        closed: closed.promise,
      });
    });
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    socket.on("error", (error) => {
      reject(error);
      closed.resolve();
    });
    socket.on("close", () => closed.resolve());
  });
}

/** Waits for a condition, and fails by throwing when it does not come. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > giveUpMs) throw new Error(`never: ${what}`);
    await Bun.sleep(5);
  }
}

/** A command for tests; whoever may call it is said by `access`. */
export function testCommand(
  name: string,
  run: (parameters: Record<string, unknown>, context: CommandContext) => unknown,
  more: Partial<AnyCommand> = {},
): AnyCommand {
  return {
    name,
    summary: `The command ${name}.`,
    access: "safe",
    parameters: v.looseObject({}),
    run,
    ...more,
  };
}

/** What a problem document says. */
export async function problemIn(response: Response): Promise<Record<string, unknown>> {
  if (response.headers.get("content-type") !== "application/problem+json")
    throw new Error(`no problem: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
