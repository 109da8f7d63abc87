import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Registry, registry as declared, type AnyCommand } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { machineRandom } from "#src/node/random.ts";
import { compose } from "#src/node/services.ts";
import { sealCall } from "#src/peer/envelope.ts";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runCommandLine } from "./cli/door.ts";
import { asWords, sampleCalls } from "./door-samples.fixture.ts";
import { httpApp } from "./http/app.ts";
import { answerPeer } from "./peer/door.ts";

/**
 * The three doors are one rule over the registry: the same call through a terminal, HTTP and a peer's
 * envelope is read to the same parameters or refused in the same words.
 */

const root = mkdtempSync(join(tmpdir(), "psionic-doors-"));
const interaction = {
  canAsk: false,
  verbose: false,
  readLine: async () => null,
  async askSecret(question: string): Promise<string> {
    throw new Refusal("input_needed", `an answer is needed: ${question}`, "ask its owner");
  },
};
const composition = compose({ home: root, interaction });
const { services } = composition;
const peerKey = signingKeyFromSeed(new Uint8Array(32).fill(7));
const peer = { nodeId: nodeIdOf(peerKey.publicKey), key: peerKey };
let nodeId = "";

beforeAll(async () => {
  services.lock();
  nodeId = (await services.identity.openOrCreate()).nodeId;
  await services.receipts.open();
});
afterAll(() => {
  composition.close();
  rmSync(root, { recursive: true, force: true });
});

/** What came of a call, in the form all doors share. */
type Outcome =
  | { readonly result: unknown; readonly events: readonly unknown[] }
  | { readonly refusal: Record<string, unknown> };

interface Door {
  readonly name: string;
  call(registry: Registry, command: AnyCommand, parameters: Parameters): Promise<Outcome>;
}

type Parameters = Readonly<Record<string, unknown>>;

/** Services whose configuration says nothing, so that only the call decides. */
const plain: Services = Object.create(services, {
  configuration: { value: { defaultsFor: () => ({}), settings: () => [] } },
}) as Services;

function outcomeOf(lines: readonly Record<string, unknown>[]): Outcome {
  const last = lines.at(-1)!;
  if (last["type"] === "refusal") {
    const { type: _type, ...refusal } = last;
    return { refusal };
  }
  return { result: last, events: lines.slice(0, -1) };
}

/** A terminal, the call written in words of one of its two forms. */
const terminal = (form: (command: AnyCommand, parameters: Parameters) => string[]): Door => ({
  name: "terminal",
  async call(registry, command, parameters) {
    let out = "";
    await runCommandLine([...form(command, parameters), "--json", "--no-input"], {
      registry,
      terminal: {
        stdinIsTerminal: false,
        stdoutIsTerminal: false,
        stderrIsTerminal: false,
        columns: 80,
        out: (text) => void (out += text),
        error: () => {},
      },
      environment: {},
      version: "0",
      signal: new AbortController().signal,
      askSecret: interaction.askSecret,
      compose: () => ({ services: plain, close() {} }),
    });
    const lines = out.trimEnd().split("\n");
    return outcomeOf(lines.map((line) => JSON.parse(line) as Record<string, unknown>));
  },
});

const withOptions = terminal(asWords);
const withObject = terminal(({ name }, parameters) => [
  ...name.split("/"),
  JSON.stringify(parameters),
]);

const httpDoor: Door = {
  name: "HTTP",
  async call(registry, command, parameters) {
    const app = httpApp({
      registry,
      services: plain,
      version: "0",
      token: "token",
      assets: new Map(),
      draining: () => false,
      ready: async () => [],
      collectMetrics: async () => [],
    });
    const response = await app.fetch(
      new Request(`http://localhost/commands/${command.name}`, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/x-ndjson" },
        body: JSON.stringify(parameters),
      }),
      {
        via: "socket",
        hosts: new Set<string>(),
        isLoopback: true,
        stopping: new AbortController().signal,
        hold() {},
      },
    );
    const lines = (await response.text()).trimEnd().split("\n");
    const records = lines.map((line) => JSON.parse(line) as Record<string, never>);
    const last = records.at(-1)!;
    if ("refusal" in last) return { refusal: last["refusal"] };
    return {
      result: withType(last["result"]),
      events: records.slice(0, -1).map((each) => each["event"]),
    };
  },
};

const peerDoor: Door = {
  name: "peer",
  async call(registry, command, parameters) {
    const envelope = sealCall(peer, {
      ...{ recipient: nodeId, name: command.name, parameters: parameters as never, grant: null },
      ...{ rotations: [], nowMs: Date.now(), random: machineRandom },
    });
    const frames: { kind: string; body: Record<string, unknown> }[] = [];
    const signal = new AbortController().signal;
    await answerPeer(envelope, { registry, services: plain, signal }, (frame) =>
      frames.push(JSON.parse(new TextDecoder().decode(frame)) as (typeof frames)[number]),
    );
    const last = frames.at(-1)!;
    if (last.kind === "refusal") return { refusal: last.body };
    return {
      result: withType(last.body),
      events: frames.slice(0, -1).map(({ body }) => body),
    };
  },
};

/** A terminal gives every record a type; the other doors give the result as it is. */
const withType = (result: unknown): unknown =>
  typeof result === "object" && result !== null && !("type" in result)
    ? { type: "result", ...result }
    : result;

const isObject = (value: unknown) => typeof value === "object" && !Array.isArray(value);

/** Every command of the program with its own schema, open to all, answering what it understood. */
function echoes(): Registry {
  const registry = new Registry();
  for (const command of declared.all())
    registry.declare({
      ...command,
      ...{ access: "safe", localOnly: false, place: "process", computes: false },
      result: v.unknown(),
      run: (parameters, { emit }) => {
        emit({ type: "heard", command: command.name });
        return { understood: parameters };
      },
    });
  return registry;
}

describe("A-2 the same call through a terminal, HTTP and a peer's envelope", () => {
  const registry = echoes();
  test.each(declared.all().map(({ name }) => [name] as const))(
    "A-2 %s is understood, or refused, alike",
    async (name) => {
      const command = registry.get(name)!;
      let understood = 0;
      for (const parameters of sampleCalls(command)) {
        const expected = await withObject.call(registry, command, parameters);
        for (const door of [httpDoor, peerDoor]) {
          const outcome = await door.call(registry, command, parameters);
          expect({ door: door.name, ...outcome }).toEqual({ door: door.name, ...expected });
        }
        // Options are read before the schema sees them, so a mistake is told in their own words; an
        // object is text there, where text is wanted.
        const typed = await withOptions.call(registry, command, parameters);
        if ("result" in expected) {
          understood++;
          expect(typed).toEqual(expected);
        } else if (!Object.values(parameters).some(isObject))
          expect(typed).toMatchObject({ refusal: { code: expected.refusal["code"] } });
      }
      expect(understood).toBeGreaterThan(0);
    },
  );

  test("A-1 a command that is declared is there at every door, with no other line of code", async () => {
    const added: AnyCommand = {
      name: "added/by-a-test",
      summary: "Double a number.",
      access: "safe",
      parameters: v.strictObject({ value: v.pipe(v.number(), v.description("what to double")) }),
      positional: ["value"],
      result: v.object({ doubled: v.number() }),
      run: (parameters) => ({ doubled: 2 * (parameters as { value: number }).value }),
    };
    const grown = echoes();
    grown.declare(added);
    for (const door of [withOptions, withObject, httpDoor, peerDoor])
      expect(await door.call(grown, added, { value: 21 })).toMatchObject({
        result: { doubled: 42 },
      });
  });
});
