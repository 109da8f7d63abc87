import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as v from "valibot";
import { digestBytes } from "#src/codec/digest.ts";
import type { Trust } from "#src/command/caller.ts";
import type { Services } from "#src/command/define.ts";
import { listFor } from "#src/command/list.command.ts";
import { Registry, type AnyCommand } from "#src/command/registry.ts";
import { compose, type Composition } from "#src/node/services.ts";
import type { NodeIdentity } from "#src/receipt/identity.ts";
import { askHello, readHello } from "#src/peer/hello.ts";
import {
  alice,
  call,
  changed,
  keyOf,
  parsed,
  random,
  resigned,
  rotation,
} from "#src/peer/peer.fixture.ts";
import { ReplyReader, type Reply } from "#src/peer/reply.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { answerPeer } from "./door.ts";

const command = (name: string, more: Partial<AnyCommand> = {}): AnyCommand => ({
  ...{ name, summary: "A command.", access: "safe", parameters: v.strictObject({}) },
  run: () => name,
  ...more,
});

const registry = new Registry();
for (const each of [
  command("safe"),
  command("ours", { access: "member" }),
  command("deep", { access: "trusted" }),
  command("mine", { access: "owner" }),
  command("undeclared", { access: undefined }),
  command("here", { localOnly: true }),
  command("commands/list", { run: (_, context) => listFor(context.caller, context.services) }),
  command("caller", { run: (_, { caller }) => caller }),
  command("count", {
    parameters: v.strictObject({ to: v.number() }),
    run(parameters, { emit }) {
      const { to } = parameters as { to: number };
      for (let index = 0; index < to; index++) emit({ type: "tick", index });
      return { to };
    },
  }),
  command("escalate", { run: (_, context) => context.call("mine", {}) }),
  command("break", {
    run() {
      throw new Error("secret inside");
    },
  }),
  command("lost", {
    run(_, { services }) {
      const path = `${services.home.root}/runs/a/checkpoint`;
      throw new Refusal("disk_failed", `${path} is gone`, `look at ${path}`, {
        path,
        list: [path],
      });
    },
  }),
  command("large", { run: () => "x".repeat(2 ** 21) }),
  command("ask", { run: (_, { services }) => services.interaction.askSecret("who are you") }),
  command("read", { run: (_, { services }) => services.interaction.readLine("") }),
  command("wait", {
    run: (_, { signal, emit }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
        emit({ type: "waiting" });
      }),
  }),
])
  registry.declare(each);

const folder = mkdtempSync(join(tmpdir(), "psionic-peer-door-"));
let composition: Composition;
let services: Services;
let self: NodeIdentity;

beforeAll(async () => {
  const interaction = {
    ...{ canAsk: true, verbose: false, readLine: async () => "of the person" },
    askSecret: async () => "the person's secret",
  };
  composition = compose({ home: join(folder, "home"), interaction });
  services = Object.create(composition.services, { registry: { value: registry } }) as Services;
  self = await services.identity.openOrCreate();
});
afterAll(() => {
  composition.close();
  rmSync(folder, { recursive: true, force: true });
});

interface More {
  readonly services?: Services;
  readonly signal?: AbortSignal;
  onBug?(error: unknown): void;
}

/** Sends bytes to the door and gives the frames. */
async function framesOf(bytes: Uint8Array, more: More = {}): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  const signal = new AbortController().signal;
  await answerPeer(bytes, { registry, services, signal, ...more }, (frame) => frames.push(frame));
  return frames;
}

const seal = (name: string, parameters = {}, grant: Record<string, unknown> | null = null) =>
  call({ ...{ name, parameters, grant }, nowMs: Date.now(), recipient: self.nodeId });

/** Calls as alice and checks every frame; gives the replies. */
async function repliesTo(bytes: Uint8Array, more: More = {}): Promise<Reply[]> {
  const callId = String(parsed(bytes)["callId"]);
  const replies = new ReplyReader(
    { nodeId: self.nodeId, key: self.publicKey },
    { callId, sender: alice.nodeId, digest: digestBytes(bytes) },
  );
  const all = (await framesOf(bytes, more)).map((frame) => replies.take(frame));
  expect(replies.isComplete).toBe(true);
  return all;
}

const lastOf = async (bytes: Uint8Array, more: More = {}) => (await repliesTo(bytes, more)).at(-1)!;

/** What a call comes to: its result, or the code of its refusal. */
async function outcomeOf(name: string, parameters = {}): Promise<unknown> {
  const { kind, body } = await lastOf(seal(name, parameters));
  return kind === "refusal" ? (body as { code: string }).code : body;
}

function trust(tier: Trust): void {
  services.trust.set({ publicKey: alice.key.publicKey, tier });
}

describe("A-2 the peer door", () => {
  test("A-2 says who is there", async () => {
    const { bytes, challenge } = askHello(random);
    const [hello] = await framesOf(bytes);
    expect(readHello(hello!, challenge, Date.now(), services.trust)).toMatchObject({
      ...{ sender: self.nodeId, key: self.publicKey, rotations: [] },
    });
  });

  test("A-2 streams events in their order, then the result", async () => {
    const replies = await repliesTo(seal("count", { to: 3 }));
    expect(replies.map(({ kind, body }) => [kind, body])).toEqual([
      ...[0, 1, 2].map((index) => ["event", { type: "tick", index }]),
      ["result", { to: 3 }],
    ]);
  });

  test("A-4 the caller is the key that signed, with the grant as it came", async () => {
    const grant = { publicKey: "another key", anything: [1] };
    expect((await lastOf(seal("caller", {}, grant))).body).toEqual({
      ...{ provenance: "peer", publicKey: alice.key.publicKey, nodeId: alice.nodeId, grant },
      registered: "provisional",
    });
  });

  test("A-2 refusals are those of every other door", async () => {
    expect(await outcomeOf("nobody")).toBe("unknown_command");
    expect(await outcomeOf("count", { to: "x" })).toBe("usage");
    expect(await outcomeOf("count", { to: 1, more: 1 })).toBe("usage");
    const { body } = await lastOf(seal("count"));
    expect(body).toMatchObject({ retryable: false, details: { path: "to" } });
    expect(body).toHaveProperty("hint");
  });
});

describe("A-4 the gate judges a peer", () => {
  afterAll(() => void services.trust.forget(alice.nodeId));

  const table: [Trust, string[]][] = [
    ["provisional", ["safe"]],
    ["member", ["safe", "ours"]],
    ["trusted", ["safe", "ours", "deep"]],
    ["owner", ["safe", "ours", "deep"]],
  ];

  test.each(table)("A-3 %s: what is listed is what may be called", async (tier, allowed) => {
    trust(tier);
    const names = ["safe", "ours", "deep", "mine", "undeclared", "here"];
    const listed = (await outcomeOf("commands/list")) as { name: string }[];
    expect(listed.map(({ name }) => name).filter((name) => names.includes(name))).toEqual(allowed);
    for (const name of names)
      expect([name, await outcomeOf(name)]).toEqual([
        name,
        allowed.includes(name) ? name : "not_authorised",
      ]);
  });

  test("A-4 blocked: nothing at all, whatever is presented", async () => {
    trust("blocked");
    for (const name of ["safe", "ours", "mine", "here", "commands/list"])
      expect(await outcomeOf(name)).toBe("peer_blocked");
    expect((await lastOf(seal("safe", {}, { grant: 1 }))).body).toMatchObject({
      code: "peer_blocked",
    });
  });

  test("A-5 a safe command does not take a peer to the owner's", async () => {
    trust("trusted");
    expect(await outcomeOf("escalate")).toBe("not_authorised");
  });
});

describe("I-6 a peer that rotated its key", () => {
  afterAll(() => void services.trust.forget(alice.nodeId));

  test("I-6 keeps its trust with the new key, and its old key does not come back", async () => {
    trust("member");
    const newKey = keyOf(40);
    const atMs = Date.now() - 10_000;
    const times = { atMs, overlapUntilMs: atMs + 5_000 };
    const rotations = [rotation(alice.nodeId, alice.key, newKey, times)];
    const more = { name: "ours", nowMs: Date.now(), recipient: self.nodeId };
    const renewed = call({ ...more, rotations }, { nodeId: alice.nodeId, key: newKey });
    expect(await lastOf(renewed)).toMatchObject({ kind: "result", body: "ours" });
    for (const shown of [rotations, []]) {
      const { body } = await lastOf(call({ ...more, rotations: shown }));
      expect(body).toMatchObject({ code: "key_retired" });
    }
  });
});

describe("A-10 the door stands", () => {
  test("A-10 a bug is told as a bug, and what it was only to the owner", async () => {
    const bugs: unknown[] = [];
    const bytes = seal("break");
    const reply = await lastOf(bytes, { onBug: (error) => bugs.push(error) });
    expect(reply.kind).toBe("bug");
    expect(JSON.stringify(reply)).not.toContain("secret");
    expect(bugs).toHaveLength(1);
    expect(String(bugs[0])).toContain("secret inside");
  });

  test("A-10 a refusal does not say where on the machine the node lives", async () => {
    const [{ body } = {} as Reply] = await repliesTo(seal("lost"));
    const path = "HOME/runs/a/checkpoint";
    expect(body).toMatchObject({
      ...{ code: "disk_failed", message: `${path} is gone`, hint: `look at ${path}` },
      details: { path, list: [path] },
    });
    expect(JSON.stringify(body)).not.toContain(folder);
  });

  test("A-10 a result too large for a reply is a refusal", async () => {
    expect(await outcomeOf("large")).toBe("message_too_large");
  });

  test("A-10 a refusal that quotes a mebibyte of parameters still fits", async () => {
    const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [`key${n}`, n]));
    expect(await outcomeOf("safe", many)).toBe("usage");
    expect(await outcomeOf("safe", { ["x".repeat(1_000_000)]: 1 })).toBe("usage");
  });

  test("A-10 nobody is asked and nothing is read here for a peer", async () => {
    expect(await outcomeOf("ask")).toBe("input_needed");
    expect(await outcomeOf("read")).toBeNull();
  });

  test("A-10 a caller that goes away stops its command", async () => {
    const gone = new AbortController();
    const kinds: unknown[] = [];
    const parts = { registry, services, signal: gone.signal };
    await answerPeer(seal("wait"), parts, (frame) => {
      kinds.push(parsed(frame)["kind"]);
      gone.abort(new Error("gone"));
    });
    expect(kinds).toEqual(["event", "refusal"]);
  });

  test("A-7 a store that fails denies, and says so", async () => {
    const { store } = services;
    const full = {
      ...store,
      run(): never {
        throw new Refusal("disk_full", "no space is left", "free some");
      },
    };
    const failing = Object.create(services, { store: { value: full } }) as Services;
    let ran = false;
    const bytes = seal("count", { to: 1 });
    const replies = await repliesTo(bytes, { services: failing, onBug: () => (ran = true) });
    expect(replies.map(({ body }) => (body as { code: string }).code)).toEqual(["disk_full"]);
    expect(ran).toBe(false);
  });

  test("A-2 a replay is refused", async () => {
    const bytes = seal("safe");
    expect((await lastOf(bytes)).kind).toBe("result");
    expect((await lastOf(bytes)).body).toMatchObject({ code: "envelope_replayed" });
  });
});

/** One way to damage bytes. */
const damage = fc.oneof(
  fc.record({
    kind: fc.constant("flip" as const),
    at: fc.nat(),
    bit: fc.integer({ min: 0, max: 7 }),
  }),
  fc.record({
    kind: fc.constant("cut" as const),
    at: fc.nat(),
    count: fc.integer({ min: 1, max: 200 }),
  }),
  fc.record({ kind: fc.constant("end" as const), at: fc.nat() }),
  fc.record({
    kind: fc.constant("put" as const),
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 30 }),
  }),
  fc.record({
    kind: fc.constant("put" as const),
    at: fc.nat(),
    bytes: fc
      .constantFrom(
        '"',
        "\\",
        "{",
        "[[[[",
        "}",
        ",",
        ":",
        "1e999",
        "-0",
        "null",
        "\\ud800",
        '"type":"x",',
      )
      .map((text) => new TextEncoder().encode(text)),
  }),
);

function damaged(bytes: Uint8Array, harm: typeof damage extends fc.Arbitrary<infer T> ? T : never) {
  const at = harm.at % bytes.length;
  switch (harm.kind) {
    case "flip": {
      const flipped = Uint8Array.from(bytes);
      flipped[at]! ^= 1 << harm.bit;
      return flipped;
    }
    case "cut":
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + harm.count)]);
    case "end":
      return bytes.subarray(0, at);
    case "put":
      return Buffer.concat([bytes.subarray(0, at), harm.bytes, bytes.subarray(at)]);
  }
}

describe("A-10 abuse", () => {
  const healthy = async () => expect(await outcomeOf("safe")).toBe("safe");

  test("A-10 10,000 damaged envelopes get one refusal each and the node goes on", async () => {
    const bytes = seal("mine", { a: [0.5, "é", { b: null }] }, { some: "grant" });
    const damages = fc.array(damage, { minLength: 1, maxLength: 3 });
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(damages, async (harms) => {
        const hurt = harms.reduce<Uint8Array>(
          (so, harm) => (so.length === 0 ? so : damaged(so, harm)),
          bytes,
        );
        if (Buffer.compare(hurt, bytes) === 0) return;
        const frames = await framesOf(hurt, {
          onBug(error) {
            throw error;
          },
        });
        expect(frames).toHaveLength(1);
        const reply = parsed(frames[0]!);
        expect(reply).toMatchObject({ kind: "refusal", last: true, callId: null });
        seen.add((reply["body"] as { code: string }).code);
      }),
      { numRuns: 10_000 },
    );
    expect(seen).toContain("envelope_malformed");
    expect(seen).toContain("envelope_forged");
    await healthy();
  }, 120_000);

  test("A-10 3,000 well-signed calls of nonsense get refusals and no bug", async () => {
    const nonsense = fc.record(
      {
        name: fc.oneof(fc.string(), fc.constantFrom("mine", "here", "__proto__", "constructor")),
        parameters: fc.dictionary(fc.string(), fc.jsonValue()),
        grant: fc.option(fc.dictionary(fc.string(), fc.jsonValue())),
        sentMs: fc.oneof(fc.integer(), fc.double(), fc.constant(Date.now())),
        rotations: fc.oneof(fc.constant([]), fc.array(fc.jsonValue(), { maxLength: 3 })),
        extra: fc.jsonValue(),
      },
      { requiredKeys: ["name"] },
    );
    const wellFormed = (value: unknown) => !/\\ud[89a-f]/i.test(JSON.stringify(value));
    await fc.assert(
      fc.asyncProperty(nonsense.filter(wellFormed), async (members) => {
        if (registry.get(members.name)?.access === "safe" && members.name !== "here") return;
        const plain = JSON.parse(JSON.stringify(members)) as Record<string, unknown>;
        const frames = await framesOf(resigned(seal("mine"), plain, alice.key), {
          onBug(error) {
            throw error;
          },
        });
        expect(frames.map((frame) => parsed(frame)["kind"])).toEqual(["refusal"]);
      }),
      { numRuns: 3_000 },
    );
    await healthy();
  }, 120_000);

  test("A-10 a hello question of any shape is answered or refused", async () => {
    const { bytes } = askHello(random);
    for (const wrong of [{ challenge: 1 }, { version: 9 }, { more: [] }]) {
      const [frame] = await framesOf(changed(bytes, wrong));
      expect(parsed(frame!)).toMatchObject({ kind: "refusal" });
    }
  });
});
