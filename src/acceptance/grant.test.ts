import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { binaryPath, jsonLines, runBinary, TemporaryFolder } from "./binary.ts";

/** An owner lends a command to a guest's key, and takes it back, through the compiled executable. */

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

const owner = folder.file("owner");
const guest = folder.file("guest");
let guestKey: string;
let toOwner: string;

/** Runs words with --json; the last line is the result or the refusal. */
async function said(home: string, ...words: string[]) {
  const { stdout, status } = await runBinary([...words, "--json"], { home });
  return { status, last: jsonLines(stdout).at(-1)! };
}

const codeOf = async (home: string, ...words: string[]) =>
  (await said(home, ...words)).last["code"] ?? "accepted";

/** The guest calls a command of the owner's. */
const called = (name: string, parameters: object = {}) =>
  codeOf(guest, "peer", "call", name, JSON.stringify(parameters), "--via", toOwner);

beforeAll(async () => {
  for (const home of [owner, guest]) expect((await runBinary(["init"], { home })).status).toBe(0);
  guestKey = String((await said(guest, "identity", "show")).last["publicKey"]);
  toOwner = `'${await binaryPath()}' peer pipe --home '${owner}'`;
});

describe("A-6 grants at the terminal", () => {
  test("A-6 what confers nothing is refused with the nearest name that would", async () => {
    const issue = (capability: string) =>
      said(owner, "grant", "issue", "--to", guestKey, "--capability", capability);
    expect((await issue("sampel")).last).toMatchObject({
      ...{ code: "capability_unknown", hint: "did you mean sample?" },
    });
    for (const capability of ["train", "identity/show", "grant/issue", "run/start"])
      expect((await issue(capability)).last["code"]).toBe("capability_unknown");
    expect(await codeOf(owner, "grant", "issue", "--to", guestKey)).toBe("usage");
    const forever = ["--capability", "runs", "--expires", "91d"];
    expect(await codeOf(owner, "grant", "issue", "--to", guestKey, ...forever)).toBe("usage");
    const self = String((await said(owner, "identity", "show")).last["publicKey"]);
    expect(await codeOf(owner, "grant", "issue", "--to", self, "--capability", "runs")).toBe(
      "usage",
    );
  });

  test("A-6 issued, presented, used to its last call, taken back, all of it evidence", async () => {
    const file = folder.file("grant.json");
    const lend = ["--capability", "runs", "--calls", "2", "--file", file];
    const issued = await said(owner, "grant", "issue", "--to", guestKey, ...lend);
    const { id } = issued.last["grant"] as { id: string };
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await codeOf(owner, "grant", "issue", "--to", guestKey, ...lend)).toBe("usage");

    expect(await called("runs")).toBe("not_authorised");
    expect(await codeOf(owner, "grant", "present", file)).toBe("grant_stolen");
    expect(await codeOf(guest, "grant", "present", file)).toBe("accepted");
    expect([await called("runs"), await called("digest", { run: "x" })]).toEqual([
      ...["accepted", "grant_not_conferred"],
    ]);
    expect([await called("runs"), await called("runs")]).toEqual(["accepted", "grant_exhausted"]);

    const shown = await said(owner, "grant", "show", id.slice(0, 12));
    expect(shown.last).toMatchObject({
      ...{ origin: "issued", isIntact: true, standing: "exhausted", use: { calls: 2 } },
    });
    const revoked = await said(owner, "grant", "revoke", id);
    expect(revoked.last["grant"]).toMatchObject({ capabilities: [], grantee: guestKey });
    expect(await called("runs")).toBe("grant_revoked");

    const bundle = folder.file("bundle.json");
    expect((await said(owner, "receipt", "export", bundle)).status).toBe(0);
    expect((await said(guest, "receipt", "verify", bundle)).status).toBe(0);
    for (const kind of ["grant.issued", "grant.used", "grant.settled", "grant.revoked"])
      expect(readFileSync(bundle, "utf8")).toContain(`"${kind}"`);
  }, 120_000);

  test("A-6 a file that is no grant, or is another's by now, is refused and shown as such", async () => {
    const file = folder.file("runs.json");
    const lend = ["--capability", "runs", "--file", file];
    expect(await codeOf(owner, "grant", "issue", "--to", guestKey, ...lend)).toBe("accepted");
    const grant = JSON.parse(readFileSync(file, "utf8")) as object;
    const changed = folder.file("changed.json");
    writeFileSync(changed, JSON.stringify({ ...grant, capabilities: ["sample"] }));
    expect(await codeOf(guest, "grant", "present", changed)).toBe("grant_tampered");
    const { last } = await said(guest, "grant", "show", changed);
    expect(last).toMatchObject({ origin: "file", isIntact: false, standing: null });
    for (const text of ["", "{}", "[]", "\u0000", "x".repeat(20_000), '{"type":"psionic-grant"}']) {
      writeFileSync(changed, text);
      expect(await codeOf(guest, "grant", "present", changed)).toBe("grant_malformed");
    }
    expect(await codeOf(guest, "grant", "present", folder.file("absent.json"))).toBe("not_found");
    expect(await codeOf(owner, "grant", "show", "psgaaaa")).toBe("not_found");
    expect(await codeOf(owner, "grant", "revoke", "ab".repeat(32))).toBe("not_found");
  }, 120_000);
});

describe("A-4 trust at the terminal", () => {
  test("A-4 a node is entered by key or by its bundle, and what was entered decides", async () => {
    expect(await codeOf(owner, "trust", "set", guestKey, "--tier", "member")).toBe("accepted");
    expect(await called("runs")).toBe("accepted");
    expect(await codeOf(owner, "trust", "set", guestKey, "--tier", "blocked")).toBe("accepted");
    expect(await called("version")).toBe("peer_blocked");
    const bundle = folder.file("guest.trust.json");
    expect(await codeOf(guest, "identity", "export", bundle)).toBe("accepted");
    const added = await said(owner, "trust", "add", bundle, "--note", "Ada");
    expect(added.last).toMatchObject({ publicKey: guestKey, tier: "blocked", note: "Ada" });
    expect(await codeOf(owner, "trust", "forget", guestKey)).toBe("accepted");
    expect(await called("version")).toBe("accepted");
    expect(await called("runs")).toMatch(/^grant_/);
    writeFileSync(bundle, readFileSync(bundle, "utf8").replace(/"issuedMs": \d/, '"issuedMs": 9'));
    expect(await codeOf(owner, "trust", "add", bundle)).toBe("trust_bundle_wrong");
    const { last } = await said(owner, "trust", "list");
    expect(last["peers"]).toEqual([]);
  }, 120_000);
});
