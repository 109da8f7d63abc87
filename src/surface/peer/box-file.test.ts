import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compose } from "#src/node/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { openBoxKey } from "./box-file.ts";

test("C-8 a node's box key is made once, is its owner's alone, and a damaged one is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "psionic-box-"));
  const interaction = {
    ...{ canAsk: false, verbose: false, readLine: async () => null },
    askSecret: async () => "",
  };
  const composition = compose({ home: join(folder, "home"), interaction });
  const { home, disk, random, identity } = composition.services;
  try {
    await identity.openOrCreate();
    const made = await openBoxKey(home, disk, random);
    const path = join(home.identity, "box-key");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o644);
    expect((await openBoxKey(home, disk, random)).publicKey).toBe(made.publicKey);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, "damaged");
    const error = await openBoxKey(home, disk, random).catch((each: unknown) => each);
    expect((error as Refusal).code).toBe("identity_key_corrupt");
  } finally {
    composition.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
