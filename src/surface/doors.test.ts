import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Access } from "#src/command/caller.ts";
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

const terminalParts = (registry: Registry, given: Services, out: (text: string) => void) => ({
  registry,
  terminal: {
    ...{ stdinIsTerminal: false, stdoutIsTerminal: false, stderrIsTerminal: false },
    columns: 80,
    out,
    error: () => {},
  },
  environment: {},
  version: "0",
  signal: new AbortController().signal,
  askSecret: interaction.askSecret,
  compose: () => ({ services: given, close() {} }),
});

/** A terminal, the call written in words of one of its two forms. */
const terminal = (form: (command: AnyCommand, parameters: Parameters) => string[]): Door => ({
  name: "terminal",
  async call(registry, command, parameters) {
    let out = "";
    await runCommandLine(
      [...form(command, parameters), "--json", "--no-input"],
      terminalParts(registry, plain, (text) => void (out += text)),
    );
    const lines = out.trimEnd().split("\n");
    return outcomeOf(lines.map((line) => JSON.parse(line) as Record<string, unknown>));
  },
});

const withOptions = terminal(asWords);
const withObject = terminal(({ name }, parameters) => [
  ...name.split("/"),
  JSON.stringify(parameters),
]);

const httpParts = (registry: Registry, given: Services) => ({
  ...{ registry, services: given, version: "0", token: "token", assets: new Map() },
  draining: () => false,
  ready: async () => [],
  collectMetrics: async () => [],
});

const arrival = (via: "socket" | "tcp") => ({
  ...{ via, hosts: new Set(["here"]), isLoopback: true },
  closing: new AbortController().signal,
  stopping: new AbortController().signal,
  hold() {},
});

const httpDoor: Door = {
  name: "HTTP",
  async call(registry, command, parameters) {
    const response = await httpApp(httpParts(registry, plain)).fetch(
      new Request(`http://localhost/commands/${command.name}`, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/x-ndjson" },
        body: JSON.stringify(parameters),
      }),
      arrival("socket"),
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
      ...{ recipient: nodeId, name: command.name, parameters, grant: null },
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

/**
 * Every command of the program with its own schema, open to all, answering what it understood; but those
 * that are to be themselves.
 */
function echoes(isItself: (command: AnyCommand) => boolean = () => false): Registry {
  const registry = new Registry();
  for (const command of declared.all())
    if (isItself(command)) registry.declare(command);
    else
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
});

/** What one more command file declares: nothing else in the program knows of it. */
function grownRegistry(): Registry {
  const grown = echoes(({ name }) => name === "commands/list" || name === "completions");
  const parameters = v.strictObject({
    value: v.pipe(v.number(), v.description("what to double")),
    unit: v.optional(v.pipe(v.picklist(["metres", "feet"]), v.description("of what"))),
  });
  const run = (given: unknown) => ({ doubled: 2 * (given as { value: number }).value });
  const shared = { parameters, positional: ["value"], result: v.object({ doubled: v.number() }) };
  const added = (name: string, access?: Access) =>
    grown.declare({
      ...{ ...shared, name, run, summary: `Double a number (${name}).` },
      ...(access === undefined ? {} : { access }),
    });
  added("added/by-a-test", "safe");
  added("added/for-members", "member");
  added("added/unsaid");
  return grown;
}

describe("A-1 a command that is declared is everywhere, with no other line of code", () => {
  const grown = grownRegistry();
  const grownServices = Object.create(plain, { registry: { value: grown } }) as Services;
  const open = grown.get("added/by-a-test")!;
  const closed = ["added/for-members", "added/unsaid"].map((name) => grown.get(name)!);

  const typed = async (...words: string[]) => {
    let out = "";
    const status = await runCommandLine(
      words,
      terminalParts(grown, grownServices, (text) => void (out += text)),
    );
    return { status, out };
  };
  const asked = async (path: string, via: "socket" | "tcp", init: RequestInit = {}) => {
    const request = new Request(`http://localhost${path}`, { headers: { host: "here" }, ...init });
    return httpApp(httpParts(grown, grownServices)).fetch(request, arrival(via));
  };

  test("A-2 it runs at every door and gives the same", async () => {
    for (const door of [withOptions, withObject, httpDoor, peerDoor])
      expect(await door.call(grown, open, { value: 21 })).toMatchObject({
        result: { doubled: 42 },
      });
  });

  test("A-3 it is in help: of the program, of its first word, of itself", async () => {
    expect((await typed("--help")).out).toContain("added");
    const below = (await typed("added", "--help")).out;
    for (const { summary } of [open, ...closed]) expect(below).toContain(summary);
    const own = (await typed("added", "by-a-test", "--help")).out;
    for (const text of [open.summary, "what to double", "--unit", "metres"])
      expect(own).toContain(text);
  });

  test("A-3 it is in the completions of every shell, with its options and their values", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { status, out } = await typed("completions", shell);
      expect(status).toBe(0);
      for (const word of ["by-a-test", "for-members", "unit", "metres"])
        expect(out).toContain(word);
    }
  });

  test("A-3 commands/list and the OpenAPI document hold it with its schemas, for whom may call it", async () => {
    const names = async (via: "socket" | "tcp") => {
      const listed = (await (await asked("/commands", via)).json()) as {
        commands: { name: string; parameters: unknown; result: unknown }[];
      };
      const described = (await (await asked("/openapi.json", via)).json()) as {
        paths: Record<string, { post?: { requestBody: unknown } }>;
      };
      const own = listed.commands.filter(({ name }) => name.startsWith("added/"));
      for (const { name, parameters, result } of own) {
        expect(JSON.stringify(parameters)).toContain("what to double");
        expect(JSON.stringify(result)).toContain("doubled");
        const operation = described.paths[`/commands/${name}`];
        expect(JSON.stringify(operation?.post?.requestBody)).toContain("what to double");
      }
      const paths = Object.keys(described.paths).filter((path) => path.includes("/added/"));
      expect(paths.toSorted()).toEqual(own.map(({ name }) => `/commands/${name}`).toSorted());
      return own.map(({ name }) => name);
    };
    expect(await names("socket")).toEqual([open, ...closed].map(({ name }) => name));
    expect(await names("tcp")).toEqual([open.name]);
  });

  test("A-4 it is gated: a level that is not said is the owner's", async () => {
    const body = JSON.stringify({ value: 1 });
    const headers = { host: "here", "content-type": "application/json" };
    for (const { name } of closed) {
      const init = { method: "POST", headers, body };
      expect((await asked(`/commands/${name}`, "socket", init)).status).toBe(200);
      const refused = await asked(`/commands/${name}`, "tcp", init);
      expect([refused.status, await refused.json()]).toEqual([
        403,
        expect.objectContaining({ code: "not_authorised" }),
      ]);
    }
    // A stranger's envelope is as good as no token.
    for (const command of closed)
      expect(await peerDoor.call(grown, command, { value: 1 })).toMatchObject({
        refusal: { code: "not_authorised" },
      });
    services.trust.set({ publicKey: peerKey.publicKey, tier: "trusted" });
    const [members, unsaid] = closed as [AnyCommand, AnyCommand];
    expect(await peerDoor.call(grown, members, { value: 2 })).toMatchObject({
      result: { doubled: 4 },
    });
    expect(await peerDoor.call(grown, unsaid, { value: 2 })).toMatchObject({
      refusal: { code: "not_authorised" },
    });
    services.trust.forget(peer.nodeId);
  });
});
