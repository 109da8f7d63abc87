import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Access, Caller, Trust } from "./caller.ts";
import type { Services } from "./define.ts";
import { dispatch, unknownCommand } from "./dispatch.ts";
import { judge, trustOf } from "./gate.ts";
import type { Grants, GrantUse } from "./grants.ts";
import { listFor } from "./list.command.ts";
import { Registry, type AnyCommand } from "./registry.ts";

const command = (name: string, more: Partial<AnyCommand> = {}): AnyCommand => ({
  name,
  summary: "A command.",
  parameters: v.strictObject({}),
  run: () => name,
  ...more,
});

function registryOf(...commands: AnyCommand[]): Registry {
  const registry = new Registry();
  for (const each of commands) registry.declare(each);
  return registry;
}

const local: Caller = { provenance: "local" };
const stranger: Caller = { provenance: "anonymous" };

const peer = (registered: Trust, grant: unknown = null): Caller => ({
  provenance: "peer",
  publicKey: "00".repeat(32),
  nodeId: "psn",
  registered,
  grant,
});

const call = (registry: Registry, caller: Caller, services: Partial<Services> = {}) => ({
  registry,
  services: services as Services,
  caller,
  signal: new AbortController().signal,
  emit() {},
});

/** For callers without a grant: whoever asks after one fails the test. */
const noGrants = {
  grants: {
    judge(): Refusal | null {
      throw new Error("no grant was presented");
    },
  },
};

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const refusal = await work.then(
    () => null,
    (error: unknown) => error,
  );
  expect(refusal).toBeInstanceOf(Refusal);
  return refusal as Refusal;
}

describe("A-1 registry", () => {
  test("A-1 a duplicate name refuses to start", () => {
    const registry = registryOf(command("run/start"));
    expect(() => registry.declare(command("run/start"))).toThrow(/declared twice/);
  });

  test("A-1 a malformed name refuses to start", () => {
    for (const name of ["", "Run", "run//start", "/run", "run start", "run_start"]) {
      expect(() => registryOf(command(name))).toThrow(/malformed/);
    }
  });

  test("A-2 words resolve to the longest matching name", () => {
    const registry = registryOf(command("run"), command("run/start"));
    expect(registry.resolve(["run", "start", "x"])).toMatchObject({
      command: { name: "run/start" },
      wordCount: 2,
    });
    expect(registry.resolve(["run", "x"])).toMatchObject({ command: { name: "run" } });
    expect(registry.resolve(["x"])).toBeNull();
    expect(registry.below("run").map(({ name }) => name)).toEqual(["run/start"]);
  });

  test("A-2 an unknown name is refused with the nearest one", () => {
    const registry = registryOf(command("identity/show"), command("train"));
    expect(unknownCommand(registry, "trian").hint).toContain("psionic train");
    expect(unknownCommand(registry, "identity/shwo").hint).toContain("psionic identity show");
    expect(unknownCommand(registry, "zzz").hint).toContain("psionic commands");
  });
});

describe("A-4 gate", () => {
  const table: [string, Caller, Access[]][] = [
    ["a local caller", local, ["safe", "member", "trusted", "owner"]],
    ["a token", { provenance: "token" }, ["safe", "member", "trusted", "owner"]],
    ["a stranger", stranger, ["safe"]],
    ["a blocked peer", peer("blocked"), []],
    ["a provisional peer", peer("provisional"), ["safe"]],
    ["a member", peer("member"), ["safe", "member"]],
    ["a trusted peer", peer("trusted"), ["safe", "member", "trusted"]],
    ["a peer registered as owner", peer("owner"), ["safe", "member", "trusted"]],
  ];

  test.each(table)("A-4 %s may call what its trust reaches", (_, caller, allowed) => {
    const levels: Access[] = ["safe", "member", "trusted", "owner"];
    const may = (access: Access) => judge(caller, { name: "x", access }, noGrants).by !== null;
    expect(levels.filter(may)).toEqual(allowed);
  });

  test("A-4 a command only for locals is refused to a token", () => {
    const localOnly = { name: "grant/issue", access: "owner", localOnly: true } as const;
    expect(judge(local, localOnly, noGrants).by).toBe("trust");
    for (const caller of [{ provenance: "token" } as const, peer("owner"), peer("owner", {})])
      expect(judge(caller, localOnly, noGrants).by).toBeNull();
  });

  test("A-4 a command without a level is for the owner only", () => {
    expect(judge(local, { name: "x" }, noGrants).by).toBe("trust");
    expect(judge(peer("trusted"), { name: "x" }, noGrants).by).toBeNull();
    expect(trustOf(peer("owner"))).toBe("trusted");
  });

  test("A-3 listing follows the rule that gates calls, and hides what is hidden", async () => {
    const registry = registryOf(
      command("open", { access: "safe" }),
      command("close", { access: "owner" }),
      command("own"),
      command("secret", { hidden: true }),
    );
    const names = (caller: Caller) =>
      listFor(caller, { registry, ...noGrants }).map(({ name }) => name);
    expect(names(local)).toEqual(["open", "close", "own"]);
    expect(names(stranger)).toEqual(["open"]);
    for (const { name } of registry.all()) {
      const refused = dispatch(call(registry, stranger), name, {}).then(
        () => false,
        () => true,
      );
      expect(await refused).toBe(!names(stranger).includes(name));
    }
  });
});

describe("A-2 dispatch", () => {
  const parameters = v.strictObject({
    model: v.strictObject({ layers: v.pipe(v.array(v.pipe(v.number(), v.minValue(1)))) }),
  });

  test("A-2 a wrong parameter is refused naming its path", async () => {
    const registry = registryOf(command("train", { parameters }));
    const refusal = await refusalOf(
      dispatch(call(registry, local), "train", { model: { layers: [2, 0] } }),
    );
    expect(refusal.code).toBe("usage");
    expect(refusal.details["path"]).toBe("model.layers.1");
    expect(refusal.message).toContain("model.layers.1");
  });

  test("A-2 an unknown parameter is refused naming it", async () => {
    const registry = registryOf(command("train", { parameters: v.strictObject({}) }));
    const refusal = await refusalOf(dispatch(call(registry, local), "train", { stesp: 5 }));
    expect(refusal.details["path"]).toBe("stesp");
  });

  test("A-2 an unknown command is refused", async () => {
    const refusal = await refusalOf(dispatch(call(registryOf(), local), "train", {}));
    expect(refusal.code).toBe("unknown_command");
    expect(refusal.exitStatus).toBe(2);
  });

  test.each([
    ["rnu/stop", "run/stop"],
    ["stop", "run/stop"],
    ["show", undefined],
    ["halt", undefined],
  ])(
    "A-2 %s has the suggestion %s: a slip, or the last word of one command alone",
    (typed, meant) => {
      const registry = registryOf(
        ...["run/stop", "grant/show", "trust/show"].map((name) => command(name)),
      );
      expect(unknownCommand(registry, typed).details["suggestion"]).toBe(meant);
    },
  );

  test("A-5 a safe command composing an owner's one is refused for a stranger", async () => {
    const registry = registryOf(
      command("tidy", { access: "safe", run: (_, context) => context.call("erase", {}) }),
      command("erase", { access: "owner", run: () => "erased" }),
    );
    const refusal = await refusalOf(dispatch(call(registry, stranger), "tidy", {}));
    expect(refusal.code).toBe("not_authorised");
    expect(refusal.details["command"]).toBe("erase");
    expect(await dispatch(call(registry, local), "tidy", {})).toBe("erased");
  });
});

describe("A-6 a call admitted by a grant", () => {
  /** Grants that confer `lend` and what lies below, and say what was done with them. */
  function recordingGrants() {
    const said: string[] = [];
    const used = new AbortController();
    const grants: Grants = {
      judge: (_caller, name) =>
        name === "lend" ? null : new Refusal("not_authorised", "not conferred", "ask"),
      use(_caller, name): GrantUse {
        said.push(`use ${name}`);
        return {
          signal: used.signal,
          countBytes: (sizeBytes) => void said.push(`bytes ${sizeBytes}`),
          finish: () => void said.push("finish"),
        };
      },
      refused: (_caller, name, { code }) => void said.push(`refused ${name} ${code}`),
    };
    return { said, used, grants };
  }

  test("A-6 is counted once, before it runs, and charged at its end", async () => {
    const { said, grants } = recordingGrants();
    const run = (_: unknown, context: { emit(event: { type: string }): void }) => {
      said.push("run");
      context.emit({ type: "x" });
      return 7;
    };
    const registry = registryOf(command("lend", { access: "member", run }));
    const caller = peer("provisional", { any: "grant" });
    expect(await dispatch(call(registry, caller, { grants }), "lend", {})).toBe(7);
    expect(said).toEqual(["use lend", "run", "bytes 12", "bytes 1", "finish"]);
  });

  test("A-6 a grant confers nothing that is the owner's, and lifts no block", async () => {
    const { said, grants } = recordingGrants();
    const registry = registryOf(command("lend"));
    for (const [tier, code] of [
      ["trusted", "not_authorised"],
      ["blocked", "peer_blocked"],
    ] as const) {
      const refusal = await refusalOf(
        dispatch(call(registry, peer(tier, {}), { grants }), "lend", {}),
      );
      expect(refusal.code).toBe(code);
    }
    expect(said).toEqual([]);
  });

  test("A-5 an inner call is judged by the same grant", async () => {
    const { said, grants } = recordingGrants();
    const registry = registryOf(
      command("lend", { access: "member", run: (_, context) => context.call("inner", {}) }),
      command("inner", { access: "member" }),
    );
    const refusal = await refusalOf(
      dispatch(call(registry, peer("provisional", {}), { grants }), "lend", {}),
    );
    expect(refusal.message).toBe("not conferred");
    expect(said).toEqual(["use lend", "finish"]);
  });

  test("A-6 a lent call made by one that trust admits is counted as its own", async () => {
    const { said, grants } = recordingGrants();
    const registry = registryOf(
      command("open", { access: "safe", run: (_, context) => context.call("lend", {}) }),
      command("lend", { access: "member" }),
    );
    await dispatch(call(registry, peer("provisional", {}), { grants }), "open", {});
    expect(said).toEqual(["use lend", "bytes 6", "finish"]);
  });

  test("A-6 a call within a use is judged as such and counted no second time", async () => {
    const { said, grants } = recordingGrants();
    const judged: boolean[] = [];
    const judging: Grants = {
      ...grants,
      judge(_caller, _name, withinUse) {
        judged.push(withinUse === true);
        return null;
      },
    };
    const registry = registryOf(
      command("lend", { access: "member", run: (_, context) => context.call("inner", {}) }),
      command("inner", { access: "member", run: (_, context) => context.call("innermost", {}) }),
      command("innermost", { access: "member" }),
    );
    const caller = peer("provisional", {});
    await dispatch(call(registry, caller, { grants: judging }), "lend", {});
    expect(judged).toEqual([false, true, true]);
    expect(said).toEqual(["use lend", "bytes 11", "finish"]);
  });

  test("A-6 a used-up grant ends the call with its refusal", async () => {
    const { used, grants } = recordingGrants();
    const exhausted = new Refusal("not_authorised", "used up", "ask for more");
    const run = async (_: unknown, { signal }: { signal: AbortSignal }) => {
      used.abort(exhausted);
      expect(signal.aborted).toBe(true);
      return "half an answer";
    };
    const registry = registryOf(command("lend", { access: "member", run }));
    const caller = peer("provisional", {});
    expect(await refusalOf(dispatch(call(registry, caller, { grants }), "lend", {}))).toBe(
      exhausted,
    );
  });
});

describe("A-9 commands that compute", () => {
  test("A-9 run where the daemon puts them, the others in its process", async () => {
    const registry = registryOf(
      command("heavy", { computes: true, access: "safe" }),
      command("light", { run: (_, context) => context.call("heavy", {}) }),
    );
    const isolate = async (each: AnyCommand) => `${each.name} elsewhere`;
    expect(await dispatch({ ...call(registry, local), isolate }, "light", {})).toBe(
      "heavy elsewhere",
    );
    expect(await dispatch(call(registry, local), "light", {})).toBe("heavy");
  });
});

describe("A-2 what was said", () => {
  test("A-2 a command can tell what was said from what configuration filled in", async () => {
    const seen: string[][] = [];
    const look = (_: unknown, context: { configured: ReadonlySet<string> }) =>
      void seen.push([...context.configured]);
    const registry = registryOf(
      command("inner", { run: look }),
      command("outer", {
        run: async (parameters, context) => {
          look(parameters, context);
          await context.call("inner", {});
        },
      }),
    );
    await dispatch({ ...call(registry, local), configured: new Set(["threads"]) }, "outer", {});
    expect(seen).toEqual([["threads"], []]);
  });
});
