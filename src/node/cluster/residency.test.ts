import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { chunkBytes, codeOf, noise, TestHome } from "#src/artifact/artifact.fixture.ts";
import { collectArtifacts } from "#src/artifact/collect.ts";
import { blobPath } from "#src/artifact/layout.ts";
import { verifyArtifacts } from "#src/artifact/verify.ts";
import { blobMaximum, holderMaximum } from "#src/cluster/bounds.ts";
import type { Command } from "#src/cluster/event.ts";
import { FakeCluster, testNode } from "#src/cluster/service.fixture.ts";
import type { MeshState } from "#src/cluster/state.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Residency } from "./residency.ts";

const self = testNode(1);
const signal = new AbortController().signal;

/** A member of a mesh of two, whose shelf is compared when the test says so. */
class Compared implements Disposable {
  readonly cluster = new FakeCluster(self);
  readonly said: Command[] = [];
  /** Refuses from so many words on. */
  patience = Infinity;
  changed: MeshState | null = null;
  isMember = true;
  readonly residency: Residency;

  private constructor(readonly home: TestHome) {
    this.cluster.found();
    this.residency = new Residency({
      ...{ services: home.services, node: self.node },
      mesh: () => (this.isMember ? (this.changed ?? this.cluster.state()) : null),
      submit: async (command) => {
        if (this.said.length >= this.patience)
          throw new Refusal("cluster_leaderless", "nobody leads", "wait");
        this.said.push(command);
        await this.cluster.submit("self", command);
      },
    });
  }

  static async open(): Promise<Compared> {
    return new Compared(await TestHome.open());
  }

  look = () => this.residency.look(signal);

  add(seed: number, name: string | null = null) {
    const file = this.home.file(`file-${seed}`, noise(chunkBytes + seed, seed));
    return this.home.add(file, { name });
  }

  /** What the mesh says this node holds. */
  get known(): string[] {
    const { residency } = this.cluster.state();
    return residency.filter(({ holders }) => holders.includes(self.node)).map(({ blob }) => blob);
  }

  [Symbol.dispose](): void {
    this.home[Symbol.dispose]();
  }
}

describe("C-7 residency", () => {
  test("C-7 what is added is told once, and what is collected is taken back", async () => {
    using it = await Compared.open();
    expect(await it.look()).toBe(0);
    const [kept, lost] = [await it.add(1, "kept"), await it.add(2)];
    expect([await it.look(), await it.look()]).toEqual([2, 0]);
    expect(it.known).toEqual([kept.digest, lost.digest].toSorted());
    await collectArtifacts(await it.home.shelf(), -1, false);
    expect([await it.look(), await it.look()]).toEqual([1, 0]);
    expect(it.known).toEqual([kept.digest]);
  });

  test("C-7 a command in another process is seen; nothing is read while nothing was written", async () => {
    using it = await Compared.open();
    await it.look();
    const shelf = await it.home.shelf();
    let readCount = 0;
    const read = shelf.catalog.wholeDigests.bind(shelf.catalog);
    shelf.catalog.wholeDigests = (count) => {
      readCount++;
      return read(count);
    };
    await it.look();
    await it.look();
    expect(readCount).toBe(0);
    const { root } = it.home.services.home;
    const other = compose({ home: root, interaction: noInteraction });
    try {
      const { addArtifact } = await import("#src/artifact/add.ts");
      const location = it.home.file("other", "from another process");
      const request = { location, name: null, quotaBytes: null, signal };
      const { digest } = await addArtifact(await other.services.artifacts.open(), request);
      expect(await it.look()).toBe(1);
      expect(it.known).toEqual([digest]);
    } finally {
      other.close();
    }
  });

  test("C-7 what verify finds damaged is not held, until it is pulled again", async () => {
    using it = await Compared.open();
    const { digest, manifest } = await it.add(1);
    await it.look();
    rmSync(join(it.home.root, blobPath("chunks", manifest.chunks[0]!)));
    await verifyArtifacts(await it.home.shelf(), null, signal);
    await it.look();
    expect(it.known).toEqual([]);
    await it.add(1);
    await it.look();
    expect(it.known).toEqual([digest]);
  });

  test("C-7 at most 64 words at a time; a refusal ends the round and the next goes on", async () => {
    using it = await Compared.open();
    for (let seed = 1; seed <= 80; seed++) await it.add(seed);
    it.patience = 10;
    expect(await codeOf(it.look)).toBe("cluster_leaderless");
    expect(it.known).toHaveLength(10);
    it.patience = Infinity;
    expect([await it.look(), await it.look(), await it.look()]).toEqual([64, 6, 0]);
    expect(it.known).toHaveLength(80);
    it.isMember = false;
    await it.add(81);
    expect(await it.look()).toBe(0);
  });

  test("C-7 a full mesh is not asked again and again; what is held no more is told all the same", async () => {
    using it = await Compared.open();
    const [first, second] = [await it.add(1), await it.add(2)];
    await it.look();
    const state = it.cluster.state();
    const others = Array.from({ length: blobMaximum }, (_, index) => ({
      blob: digestBytes(String(index)),
      holders: [testNode(2).node],
    }));
    const full = others.slice(0, blobMaximum - 1);
    const lone = { blob: first.digest, holders: [self.node] };
    it.changed = { ...state, residency: [...full, lone] };
    expect(await it.look()).toBe(0);
    const crowd = Array.from({ length: holderMaximum }, (_, index) => testNode(index + 10).node);
    it.changed = { ...state, residency: [lone, { blob: second.digest, holders: crowd }] };
    expect(await it.look()).toBe(0);
    it.changed = { ...state, residency: [...full, { ...lone, blob: digestBytes("gone") }] };
    expect(await it.look()).toBe(1);
    expect(it.said.at(-1)).toMatchObject({ blob: digestBytes("gone"), isHeld: false });
  });

  test("C-7 in another mesh everything is told anew", async () => {
    using it = await Compared.open();
    await it.add(1);
    await it.look();
    const other = new FakeCluster(self);
    other.found();
    it.changed = other.state();
    expect(await it.look()).toBe(1);
  });
});
