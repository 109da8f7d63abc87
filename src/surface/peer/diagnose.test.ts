import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Registry } from "#src/command/registry.ts";
import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { diagnosePeer, type PeerCheck } from "./diagnose.ts";
import { answerPeer } from "./door.ts";
import { type LinkNode, LinkNodes } from "./links.fixture.ts";
import { listenPeers, type PeerListener } from "./listen.ts";

/** A host that answers a probe with what a test wants. */
let refusal: RefusalCode | null = null;
const registry = new Registry();
registry.declare({
  ...{ name: "cluster/admit", summary: "Admits.", access: "safe" },
  parameters: v.strictObject({ isProbe: v.literal(true) }),
  run() {
    if (refusal !== null) throw new Refusal(refusal, `it is ${refusal}`, "try this");
    return {};
  },
});

const nodes = new LinkNodes();
let host: LinkNode;
let newcomer: LinkNode;
let door: PeerListener;
beforeAll(async () => {
  [host, newcomer] = [await nodes.make("host"), await nodes.make("newcomer")];
  const { services, tls } = host;
  door = listenPeers(
    {
      ...{ services, tls, draining: () => false },
      answer: (envelope, send, gone) =>
        answerPeer(envelope, { registry, services, signal: gone }, send),
      onBug(error) {
        throw error;
      },
    },
    { host: "127.0.0.1", port: 0 },
  );
});
afterAll(async () => {
  await door.stop();
  await nodes.close();
});

async function probe(certificate = host.tls.fingerprint) {
  const checks: PeerCheck[] = [];
  const place = { host: "127.0.0.1", port: door.port };
  const asked = { name: "cluster/admit", mesh: "psmmesh", parameters: { isProbe: true } };
  const signal = new AbortController().signal;
  const request = { place, certificate, probe: asked };
  const work = diagnosePeer(newcomer.services, request, { signal }, (check) => checks.push(check));
  const error = await work.then(
    () => null,
    (each: unknown) => each as Refusal,
  );
  return { checks, error };
}

const judged = ["mesh", "version", "clock", "token", "identity", "claims"];
const cases: readonly (readonly [RefusalCode, string])[] = [
  ["mesh_wrong", "mesh"],
  ["version_unfit", "version"],
  ["clock_skewed", "clock"],
  ["token_wrong", "token"],
  ["token_expired", "token"],
  ["token_used", "token"],
  ["node_duplicate", "identity"],
  ["epoch_stale", "identity"],
  ["home_copied", "identity"],
  ["manifest_outside", "claims"],
  ["claims_missing", "claims"],
];

describe("C-8 a probe of admission", () => {
  test.each(cases)(
    "C-8 %s shows at the step %s, after those that were passed",
    async (code, step) => {
      refusal = code;
      const { checks, error } = await probe();
      expect(error?.code).toBe(code);
      const names = checks.map(({ name }) => name);
      expect(names.slice(names.indexOf("node") + 1)).toEqual([
        ...judged.slice(0, judged.indexOf(step)),
        step,
      ]);
      expect(checks.at(-1)).toEqual({
        ...{ name: step, passed: false, found: `it is ${code}`, fix: "try this" },
      });
      expect(checks.slice(0, -1).every(({ passed }) => passed)).toBe(true);
    },
  );

  test("C-8 another refusal shows at the call, and none at all passes every step", async () => {
    refusal = "cluster_busy";
    expect((await probe()).checks.at(-1)).toMatchObject({ name: "call", passed: false });
    refusal = null;
    const { checks, error } = await probe();
    expect(error).toBeNull();
    expect(checks.map(({ name }) => name).slice(-7)).toEqual([...judged, "standing"]);
  });

  test("C-8 a certificate that the token does not name is told apart from a changed one", async () => {
    const { checks, error } = await probe("0".repeat(64));
    expect(error?.code).toBe("certificate_changed");
    expect(checks.at(-1)).toMatchObject({ name: "pin", passed: false });
    expect(error?.hint).toContain("from one join line");
  });
});
