import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Access, Caller, Trust } from "#src/command/caller.ts";
import { judge } from "#src/command/gate.ts";
import { listFor } from "#src/command/list.command.ts";
import { registry } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares every command of the program
import "#src/node/commands.ts";
import { grantNode, guestKey, peerOf, type GrantNode } from "./grant.fixture.ts";

/**
 * Who may call what, written down a second time and by hand (docs/AUTHORITY.md says why). A command
 * that is missing here fails the test: its level has to be decided, not inherited. `local` is the
 * owner at the machine itself.
 */
const levels: Readonly<Record<string, Access | "local">> = {
  // Answers from the program or from what the caller sends.
  ...{ version: "safe", explain: "safe", completions: "safe" },
  ...{ commands: "safe", "commands/list": "safe" },
  ...{ "receipt/verify": "safe", "attestation/verify": "safe" },
  // A newcomer is a stranger; its token is judged.
  ...{ "cluster/admit": "safe" },
  // What a mesh shares: looking at runs, asking under a policy.
  ...{ "run/list": "member", "run/windows": "member" },
  ...{
    runs: "member",
    "run/status": "member",
    "run/watch": "member",
    "run/series": "member",
    "run/samples": "member",
  },
  ...{ "run/records": "member", "run/state": "member", "identity/history": "member" },
  ...{ plan: "member", digest: "member", execute: "member" },
  ...{ "artifact/list": "member", "artifact/show": "member" },
  ...{ nodes: "member", "node/show": "member", peers: "member", "token/list": "member" },
  ...{ "cluster/status": "member", "cluster/digest": "member", "cluster/residency": "member" },
  // Takes the machine's time, or shows who did what.
  ...{ sample: "trusted", replay: "trusted", sim: "trusted" },
  ...{ "receipt/list": "trusted", "receipt/show": "trusted" },
  // Names files of the machine, shows its paths and settings, starts and stops work.
  ...{
    "run/init": "owner",
    train: "owner",
    "run/start": "owner",
    "run/stop": "owner",
    "run/pause": "owner",
    "run/resume": "owner",
    chat: "owner",
    export: "owner",
  },
  ...{ "run/evidence": "owner", verify: "owner" },
  ...{ "artifact/add": "owner", "artifact/pull": "owner", "artifact/get": "owner" },
  ...{ "artifact/verify": "owner", "artifact/gc": "owner", "artifact/remove": "owner" },
  ...{ "token/create": "owner", "token/revoke": "owner" },
  ...{ "node/drain": "owner", "node/evict": "owner", "node/label": "owner" },
  ...{ "node/own": "owner", "cluster/recover": "local" },
  ...{ "cluster/verify": "owner", "cluster/snapshot": "owner", "cluster/leave": "owner" },
  ...{ "cluster/configure": "owner", "cluster/describe": "owner", "cluster/posture": "owner" },
  ...{ demo: "owner", init: "owner", bench: "owner", doctor: "owner", runtime: "owner" },
  ...{ status: "owner", logs: "owner", "config/show": "owner", "service/print": "owner" },
  ...{ "identity/show": "owner", "identity/export": "owner", "receipt/export": "owner" },
  ...{ "policy/list": "owner", "policy/show": "owner", "policy/test": "owner" },
  ...{ "attestation/list": "owner", "attestation/show": "owner", "attestation/export": "owner" },
  ...{ "trust/list": "owner", "grant/list": "owner", "grant/show": "owner" },
  // Hands out authority, holds the key, or is the machine's own daemon.
  ...{ "identity/backup": "local", "identity/restore": "local", "identity/rotate": "local" },
  ...{ "trust/set": "local", "trust/add": "local", "trust/forget": "local" },
  ...{ "grant/issue": "local", "grant/revoke": "local", "grant/present": "local" },
  ...{ "policy/add": "local", "peer/call": "local", "peer/pipe": "local" },
  ...{ up: "local", down: "local", "daemon/stop": "local", "daemon/stop-call": "local" },
  ...{ join: "local", "cluster/join": "local", "cluster/join-line": "local" },
};

const commands = registry.all();
const reach: Readonly<Record<Trust, readonly string[]>> = {
  blocked: [],
  provisional: ["safe"],
  member: ["safe", "member"],
  trusted: ["safe", "member", "trusted"],
  owner: ["safe", "member", "trusted", "owner"],
};

let node: GrantNode;
/** Confers everything that can be lent, and names what cannot. */
let everything: unknown;
let nothing: unknown;
beforeAll(() => {
  node = grantNode();
  const issue = (capabilities: readonly string[]) =>
    node.issued.issue({
      ...{ grantee: guestKey.publicKey, capabilities, lifetimeMs: 3_600_000, budget: {} },
    });
  everything = issue([...new Set(commands.map(({ name }) => name.split("/")[0]!))]);
  nothing = issue(["conferring-nothing"]);
});
afterAll(() => node.close());

const tiers = ["blocked", "provisional", "member", "trusted", "owner"] as const;

/** The expected outcome, from the table above and the sentences of alone. */
function expected(name: string, caller: Caller, confers: boolean): boolean {
  const level = levels[name]!;
  if (caller.provenance === "local") return true;
  if (level === "local") return false;
  if (caller.provenance === "token") return true;
  if (caller.provenance === "anonymous") return level === "safe";
  if (caller.registered === "blocked") return false;
  if (level === "owner") return false;
  return confers || reach[caller.registered].includes(level);
}

describe("A-4 every command and every kind of caller", () => {
  test("A-4 every command's level is decided here, and nothing else is", () => {
    expect(Object.keys(levels).toSorted()).toEqual(commands.map(({ name }) => name).toSorted());
  });

  test("A-4 docs/AUTHORITY.md says the same of every command", async () => {
    const text = await Bun.file(`${import.meta.dir}/../../docs/AUTHORITY.md`).text();
    const said = [...text.matchAll(/^\| (safe|member|trusted|owner|owner, here) +\| (`.*?) +\|/gm)];
    const names = said.flatMap(([, level, list]) =>
      [...list!.matchAll(/`([^`]+)`/g)].map(([, name]) => [
        ...[name!, level === "owner, here" ? "local" : level!],
      ]),
    );
    expect(Object.fromEntries(names)).toEqual(levels);
  });

  const plain: readonly Caller[] = [
    { provenance: "local" },
    { provenance: "token" },
    { provenance: "anonymous" },
  ];

  test.each(commands.map(({ name }) => name))("A-4 %s", (name) => {
    const command = registry.get(name)!;
    const may = (caller: Caller) => judge(caller, command, { grants: node.book }).by !== null;
    for (const caller of plain) expect(may(caller)).toBe(expected(name, caller, false));
    for (const tier of tiers) {
      for (const [grant, confers] of [
        [null, false],
        [nothing, false],
        [everything, true],
      ] as const) {
        const caller = peerOf(guestKey, grant, tier);
        expect({ tier, confers, may: may(caller) }).toEqual({
          ...{ tier, confers, may: expected(name, caller, confers) },
        });
      }
    }
  });

  test("A-3 what is listed for a caller is what it may call, with a grant too", () => {
    const callers: (readonly [Caller, boolean])[] = [
      ...plain.map((caller) => [caller, false] as const),
      ...tiers.map((tier) => [peerOf(guestKey, everything, tier), true] as const),
      ...tiers.map((tier) => [peerOf(guestKey, null, tier), false] as const),
    ];
    for (const [caller, confers] of callers) {
      const listed = listFor(caller, { registry, grants: node.book }).map(({ name }) => name);
      const shown = commands.filter(
        ({ name, hidden }) => !hidden && expected(name, caller, confers),
      );
      expect(listed).toEqual(shown.map(({ name }) => name));
    }
  });

  test("A-6 no other code than a grant's refuses a grant that falls short", () => {
    const refusal = judge(peerOf(guestKey, nothing), registry.get("sample")!, {
      grants: node.book,
    });
    expect(refusal.by === null && refusal.refusal.code).toBe("grant_not_conferred");
    const blocked = judge(peerOf(guestKey, everything, "blocked"), registry.get("sample")!, {
      grants: node.book,
    });
    expect(blocked.by === null && blocked.refusal.code).toBe("peer_blocked");
  });
});
