import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkMachine } from "./doctor.ts";
import { compose } from "./services.ts";

const home = mkdtempSync(join(tmpdir(), "psionic-doctor-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const interaction = {
  canAsk: false,
  verbose: false,
  readLine: async () => null,
  askSecret: async () => "",
};

test("A-2 doctor leaves nothing behind, and minds nothing that a killed one left", async () => {
  const left = `.doctor.${process.pid}.db`;
  writeFileSync(join(home, left), "no database");
  const { services, close } = compose({ home, interaction });
  const checks = await checkMachine(await services.machine.facts(), services);
  close();
  expect(checks.find(({ name }) => name === "database")).toMatchObject({ passed: true });
  expect(readdirSync(home)).toEqual([left]);
});
