import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Access, Caller, Trust } from "./caller.ts";
import type { Services } from "./define.ts";
import { dispatch, unknownCommand } from "./dispatch.ts";
import { mayCall, trustOf } from "./gate.ts";
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

const call = (registry: Registry, caller: Caller) => ({
  registry,
  services: {} as Services,
  caller,
  signal: new AbortController().signal,
  emit() {},
});

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
  const peer = (registered: Trust): Caller => ({ provenance: "peer", registered });
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
    expect(levels.filter((level) => mayCall(caller, level))).toEqual(allowed);
  });

  test("A-4 a command without a level is for the owner only", () => {
    expect(mayCall(local, undefined)).toBe(true);
    expect(mayCall(peer("trusted"), undefined)).toBe(false);
    expect(trustOf(peer("owner"))).toBe("trusted");
  });

  test("A-3 listing follows the rule that gates calls, and hides what is hidden", async () => {
    const registry = registryOf(
      command("open", { access: "safe" }),
      command("close", { access: "owner" }),
      command("own"),
      command("secret", { hidden: true }),
    );
    const names = (caller: Caller) => listFor(caller, registry).map(({ name }) => name);
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
