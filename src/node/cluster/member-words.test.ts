import { describe, expect, test } from "bun:test";
import { emptyMesh, type Member, type MeshState } from "#src/cluster/state.ts";
import type { LinkView } from "#src/peer/link.ts";
import {
  linkMeasure,
  measureAtLeastMs,
  measureAtMostMs,
  MemberWords,
  type NodeMeasure,
  type OwnView,
} from "./member-words.ts";

const contact = { places: ["10.0.0.1:7420"], certificate: "c".repeat(64), box: "b".repeat(64) };

const member = (node: string, changes: Partial<Member> = {}): Member => ({
  ...{ node, key: "k".repeat(64), contact, labels: [], roles: ["host"], epoch: 3, token: null },
  ...{ standing: "ready", sinceMs: 0 },
  ...changes,
});

const mesh = (...members: Member[]): MeshState => ({
  ...{ ...emptyMesh, mesh: "m", owner: "a", members },
  leases: members
    .filter(({ standing }) => standing === "ready")
    .map(({ node }) => ({ node, untilMs: 60_000 })),
});

const measure: NodeMeasure = {
  ...{ device: "a machine", memoryBytes: 1, loadPerMille: 100, clockSkewMs: 0, isReady: true },
  ...{ exactTokensPerSecond: 0, fastTokensPerSecond: 0 },
};

const link = (node: string, changes: Partial<LinkView> = {}) =>
  ({
    ...{ node, state: "connected", path: "direct", roundTripUs: 300, bytesPerSecond: 1e9 },
    ...{ lossPerMillion: 0 },
    ...changes,
  }) as LinkView;

const view = (state: MeshState, changes: Partial<OwnView> = {}): OwnView => ({
  ...{ mesh: state, node: "a", epoch: 3, key: "k".repeat(64), contact, links: [] },
  ...{ measure: null, nowMs: 1_000_000 },
  ...changes,
});

const kinds = (words: MemberWords, own: OwnView) =>
  words.due(own).map(({ command }) => command.kind);

/** Says everything that is due, and it stands in the log. */
function say(words: MemberWords, own: OwnView): void {
  for (const word of words.due(own)) {
    words.begin(word);
    words.end(word, true, own.nowMs);
  }
}

describe("C-6 what a member says of itself", () => {
  test("that it is there: at a start, after it was given up, and when it moved", () => {
    const due = (self: Partial<Member>, own: Partial<OwnView> = {}) =>
      kinds(new MemberWords(), view(mesh(member("a", self)), own));
    expect(due({})).toEqual([]);
    expect(due({ epoch: 2 })).toEqual(["node-ready"]);
    expect(due({ standing: "joining" })).toEqual(["node-ready"]);
    expect(due({ standing: "offline" })).toEqual(["node-ready"]);
    expect(due({}, { contact: { ...contact, places: [] } })).toEqual(["node-ready"]);
    expect(due({}, { key: "other" })).toEqual(["node-ready"]);
    // Who was told to drain does not say otherwise by itself; a new start does.
    expect(due({ standing: "draining" })).toEqual([]);
    expect(due({ standing: "draining", epoch: 2 })).toEqual(["node-ready"]);
    expect(due({ standing: "evicted", epoch: 2 })).toEqual([]);
    expect(kinds(new MemberWords(), view(mesh(member("b"))))).toEqual([]);
  });

  test("that it still is: three times a lease, and not to itself alone", () => {
    const words = new MemberWords();
    const own = view(mesh(member("a"), member("b")));
    expect(kinds(words, own)).toEqual(["lease-renewed"]);
    say(words, own);
    const at = (afterMs: number) => kinds(words, { ...own, nowMs: own.nowMs + afterMs });
    expect(at(19_000)).toEqual([]);
    expect(at(20_000)).toEqual(["lease-renewed"]);
    // The mesh's time went on faster than this clock: less than half of the lease is left.
    const leapt = (timeMs: number) => ({ ...own, mesh: { ...own.mesh, timeMs } });
    expect(kinds(words, { ...leapt(29_000), nowMs: own.nowMs + 2_000 })).toEqual([]);
    expect(kinds(words, { ...leapt(30_000), nowMs: own.nowMs + 2_000 })).toEqual(["lease-renewed"]);
    expect(kinds(new MemberWords(), view(mesh(member("a"))))).toEqual([]);
  });

  test("one word at a time, and what failed again a second later", () => {
    const words = new MemberWords();
    const own = view(mesh(member("a", { standing: "joining" })));
    const [word] = words.due(own);
    words.begin(word!);
    expect(kinds(words, own)).toEqual([]);
    words.end(word!, false, own.nowMs);
    expect(kinds(words, { ...own, nowMs: own.nowMs + 500 })).toEqual([]);
    expect(kinds(words, { ...own, nowMs: own.nowMs + 1_000 })).toEqual(["node-ready"]);
  });
});

describe("C-7 what it measures", () => {
  test("itself: at first, when it changed after a minute, else every ten", () => {
    const words = new MemberWords();
    const state = mesh(member("a"));
    const own = view(state, { measure });
    expect(kinds(words, own)).toEqual(["node-measured"]);
    say(words, own);
    const due = (changes: Partial<NodeMeasure>, afterMs: number) =>
      kinds(words, { ...own, measure: { ...measure, ...changes }, nowMs: own.nowMs + afterMs });
    expect(due({ loadPerMille: 110 }, measureAtLeastMs)).toEqual([]);
    expect(due({ loadPerMille: 900 }, measureAtLeastMs - 1)).toEqual([]);
    expect(due({ loadPerMille: 900 }, measureAtLeastMs)).toEqual(["node-measured"]);
    expect(due({ isReady: false }, measureAtLeastMs)).toEqual(["node-measured"]);
    expect(due({}, measureAtMostMs)).toEqual(["node-measured"]);
  });

  test("links that are up: with their class, from one end where there are many members", () => {
    const classOf = (roundTripUs: number) => linkMeasure("a", link("b", { roundTripUs }))!.class;
    expect([999, 1_000, 19_999, 20_000].map(classOf)).toEqual(["local", "near", "near", "far"]);
    expect(linkMeasure("a", link("b", { state: "unreachable" }))).toBeNull();
    expect(linkMeasure("a", link("b", { roundTripUs: null }))).toBeNull();
    const links = [link("b"), link("0")];
    const measured = (...others: Member[]) =>
      new MemberWords()
        .due(view(mesh(member("a"), member("b"), member("0"), ...others), { links }))
        .flatMap(({ command }) => (command.kind === "link-measured" ? [command.to] : []));
    expect(measured()).toEqual(["b", "0"]);
    const many = Array.from({ length: 40 }, (_, index) => member(`c${index}`));
    expect(measured(...many)).toEqual(["b"]);
  });
});
