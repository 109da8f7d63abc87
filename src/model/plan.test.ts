import { expect, test } from "bun:test";
import { dispatch } from "#src/command/dispatch.ts";
import { registry } from "#src/command/registry.ts";
import type { Services, View } from "#src/command/define.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the command
import "./plan.command.ts";

const plan = (parameters: unknown): Promise<Record<string, unknown>> =>
  dispatch(
    {
      registry,
      services: {} as Services,
      caller: { provenance: "local" },
      signal: new AbortController().signal,
      emit: () => {},
    },
    "plan",
    parameters,
  ) as Promise<Record<string, unknown>>;

/** What a person would see. */
function shown(result: unknown): string {
  const lines: string[] = [];
  const { view } = registry.get("plan")!;
  const screen = {
    columns: 80,
    live: false,
    colour: false,
    print: (text: string) => lines.push(text),
    write: () => {},
    note: () => {},
    draw: () => {},
  };
  const drawn: View<unknown> = view!(screen);
  drawn.result!(result);
  return lines.join("\n");
}

test("T-2 psionic plan prints memory, FLOPs and the digest of the plan it made", async () => {
  const result = await plan({ size: "micro" });
  const text = shown(result);
  expect(text).toContain(result["digest"] as string);
  for (const word of [
    "parameters",
    "gradients",
    "activations",
    "gradient",
    "update",
    "largest buffers",
  ]) {
    expect(text).toContain(word);
  }
  expect(await plan({ size: "micro" })).toEqual(result);
  const other = await plan({ size: "micro", batch: 8 });
  expect(other["digest"]).not.toBe(result["digest"]);
  expect(other["totalBytes"] as number).toBeLessThan(result["totalBytes"] as number);
});

test("T-2 psionic plan --calls lists operations with shapes and buffers", async () => {
  const result = await plan({ size: "nano", calls: true, layers: 1 });
  const text = shown(result);
  expect(text).toContain("layers.0.attention.attention: attention(batch=");
  expect(text).toContain("=weightGradient=gradients+");
  expect(text).toContain("M=1024 N=384 K=128");
});

test("T-2 psionic plan refuses what cannot be planned", async () => {
  const codeOf = (parameters: unknown): Promise<unknown> =>
    plan(parameters).then(
      () => "accepted",
      (error: { code: string }) => error.code,
    );
  expect(await codeOf({ size: "micro", heads: 5 })).toBe("model_invalid");
  expect(await codeOf({ size: "mountain" })).toBe("size_unknown");
  expect(await codeOf({ size: "micro", batch: 0 })).toBe("usage");
});
