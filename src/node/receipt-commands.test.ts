// oxlint-disable import/no-unassigned-import -- declaring is what importing a command file does
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "#src/command/caller.ts";
import { dispatch } from "#src/command/dispatch.ts";
import { registry } from "#src/command/registry.ts";
import { workedExample } from "#src/receipt/worked-example.fixture.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import "./commands.ts";
import { noInteraction } from "./no-interaction.ts";
import { compose } from "./services.ts";

const folder = mkdtempSync(join(tmpdir(), "psionic-receipt-commands-"));
const { services, close } = compose({ home: join(folder, "home"), interaction: noInteraction });
afterAll(() => {
  close();
  rmSync(folder, { recursive: true, force: true });
});

const bundle = `${workedExample().join("\n")}\n`;
const file = join(folder, "bundle.jsonl");
writeFileSync(file, bundle);

const local: Caller = { provenance: "local" };
const anonymous: Caller = { provenance: "anonymous" };

async function call(caller: Caller, name: string, parameters: unknown): Promise<unknown> {
  const { signal } = new AbortController();
  try {
    return await dispatch({ registry, services, caller, signal, emit() {} }, name, parameters);
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("receipt commands by caller", () => {
  test("anybody may send a bundle to be verified; only the owner names files and the chain", async () => {
    for (const caller of [local, anonymous])
      expect(await call(caller, "receipt/verify", { bundle })).toMatchObject({ isValid: true });
    expect(await call(local, "receipt/verify", { file })).toMatchObject({ count: 3 });
    expect(await call(anonymous, "receipt/verify", { file })).toBe("not_authorised");
    expect(await call(anonymous, "receipt/verify", {})).toBe("not_authorised");
    expect(await call(local, "receipt/verify", {})).toBe("identity_absent");
    const tampered = bundle.replace("run.created", "run.crested");
    expect(await call(anonymous, "receipt/verify", { bundle: tampered })).toBe(
      "receipt_signature_wrong",
    );
    const long = "x".repeat(300_000);
    expect(await call(anonymous, "receipt/verify", { bundle: long })).toBe("usage");
  });

  test("I-6 keys are rotated at the machine alone, receipts are read by the owner alone", async () => {
    const token: Caller = { provenance: "token" };
    expect(await call(token, "identity/rotate", {})).toBe("not_authorised");
    expect(await call(anonymous, "receipt/list", {})).toBe("not_authorised");
    expect(await call(token, "receipt/list", {})).toEqual({ receipts: [] });
    expect(await call(local, "identity/rotate", {})).toBe("identity_absent");
    for (const overlap of ["7", "367d", "-1d", "1.5d", "", "7 d"])
      expect([overlap, await call(local, "identity/rotate", { overlap })]).toEqual([
        overlap,
        "usage",
      ]);
    await call(local, "init", {});
    expect(await call(local, "identity/rotate", { overlap: "366d" })).toMatchObject({
      nodeId: expect.stringMatching(/^psn/) as string,
    });
    expect(await call(token, "receipt/list", { kind: "key.rotated" })).toMatchObject({
      receipts: [{ sequence: 1, kind: "key.rotated" }],
    });
    expect(await call(local, "receipt/list", { limit: 0 })).toBe("usage");
    expect(await call(local, "receipt/verify", {})).toMatchObject({ rotationCount: 1 });
  });
});
