import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkMachine } from "./doctor.ts";

const checkShape = v.object({
  name: v.string(),
  passed: v.boolean(),
  found: v.string(),
  fix: v.nullable(v.string()),
});

defineCommand({
  name: "doctor",
  summary: "What this machine can do, and what to fix first.",
  access: "owner",
  flow: "start",
  computes: true,
  parameters: v.strictObject({}),
  result: v.object({
    passed: v.boolean(),
    checks: v.array(checkShape),
    machine: v.record(v.string(), v.unknown()),
  }),
  examples: ["psionic doctor", "psionic doctor --json"],
  async run(_parameters, { services, emit }) {
    const machine = await services.machine.facts();
    const lanes = await services.machine.lanes().catch((): readonly string[] => []);
    const checks = await checkMachine(machine, services);
    for (const check of checks) emit({ type: "check", ...check });
    const failing = checks.filter(({ passed }) => !passed);
    if (failing.length > 0) {
      throw new Refusal(
        "machine_unfit",
        `${failing.map(({ name }) => name).join(", ")}: not as psionic needs it`,
        failing[0]!.fix ?? "see the failing lines above",
        { failing, machine },
      );
    }
    return { passed: true, checks, machine: { ...machine, lanes } };
  },
  view: (screen) => ({
    event(event) {
      const { name, passed, found, fix } = event as unknown as v.InferOutput<typeof checkShape>;
      const mark = passed ? "ok  " : "FAIL";
      const colour = passed ? "32" : "31";
      const shown = screen.colour ? `\x1b[${colour}m${mark}\x1b[0m` : mark;
      screen.print(`${shown}  ${name.padEnd(10)}  ${found}`);
      if (fix !== null) screen.print(`      fix: ${fix}`);
    },
    result() {},
  }),
});
