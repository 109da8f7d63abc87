import * as v from "valibot";
import type { Contact } from "#src/cluster/event.ts";
import type { Member } from "#src/cluster/state.ts";
import type { LinkMember } from "#src/peer/link.ts";
import type { Store } from "#src/port/store.ts";

/** Which mesh this home belongs to, as its tables say. */
export interface MeshRow {
  readonly mesh: string;
  /** The one voter with which the mesh's log began. */
  readonly founder: string;
  /** `out`: it left, or the log said that it was evicted. */
  readonly standing: "member" | "out";
  /** What stands in the log before this index is older than what is known of the members. */
  readonly seenIndex: number;
  /** Up to here receipts and journal tell what the log says. */
  readonly recordedIndex: number;
}

/** Another member as it was last known here: enough to dial it before the log has been read. */
export type KnownMember = LinkMember;

const knownSchema = v.strictObject({
  node: v.string(),
  places: v.array(v.string()),
  certificate: v.string(),
  box: v.string(),
  epoch: v.number(),
});

/** The member as links need it. */
export function knownMember(node: string, contact: Contact, epoch: number): KnownMember {
  const { places, certificate, box } = contact;
  return { node, places, certificate, box, epoch };
}

/** The member as a link to it needs it. */
export function linkMember({ node, contact, epoch, key }: Member): LinkMember {
  return { ...knownMember(node, contact, epoch), key };
}

/** A key that was rotated meanwhile would be wrong; a link learns it by itself. */
export function withoutKey({ key: _key, ...member }: LinkMember): KnownMember {
  return member;
}

/** What a node remembers of its mesh beside the log. Every change is durable when it returns. */
export class MeshBook {
  constructor(readonly store: Store) {}

  /** Null before the first founding. */
  row(): MeshRow | null {
    const row = this.store.get("SELECT * FROM cluster_mesh");
    if (row === null) return null;
    return {
      mesh: String(row["mesh"]),
      founder: String(row["founder"]),
      standing: row["standing"] === "out" ? "out" : "member",
      seenIndex: Number(row["seen_index"]),
      recordedIndex: Number(row["recorded_index"]),
    };
  }

  /**
   * Begins a mesh anew: what was known of another one is forgotten, its log with it. A newcomer records
   * from its own admission on: what was decided before it came others have on record.
   */
  enter(
    entry: Pick<MeshRow, "mesh" | "founder" | "seenIndex">,
    known: readonly KnownMember[],
  ): void {
    this.store.transaction(() => {
      for (const table of ["log_ballot", "log_snapshot", "log_entry", "cluster_known"])
        this.store.run(`DELETE FROM ${table}`);
      this.store.run(
        "INSERT OR REPLACE INTO cluster_mesh VALUES (1, ?, ?, 'member', ?, ?)",
        ...[entry.mesh, entry.founder, entry.seenIndex, Math.max(0, entry.seenIndex - 1)],
      );
      for (const member of known) this.#put(member);
    });
  }

  leave(): void {
    this.store.run("UPDATE cluster_mesh SET standing = 'out'");
  }

  recordTo(index: number): void {
    this.store.run("UPDATE cluster_mesh SET recorded_index = ?", index);
  }

  known(): readonly KnownMember[] {
    return this.store
      .all("SELECT text FROM cluster_known ORDER BY node")
      .map((row) => v.parse(knownSchema, JSON.parse(String(row["text"]))));
  }

  /**
   * Replaces what is known of the others, writing only what differs. Everything up to the index was
   * recorded before.
   */
  know(members: readonly KnownMember[], seenIndex: number): void {
    this.store.transaction(() => {
      const rows = this.store.all("SELECT node, text FROM cluster_known");
      const before = new Map(rows.map((row) => [String(row["node"]), String(row["text"])]));
      for (const member of members) {
        if (before.get(member.node) !== JSON.stringify(member)) this.#put(member);
        before.delete(member.node);
      }
      for (const node of before.keys())
        this.store.run("DELETE FROM cluster_known WHERE node = ?", node);
      this.store.run(
        "UPDATE cluster_mesh SET seen_index = ?, recorded_index = ?",
        ...[seenIndex, seenIndex],
      );
    });
  }

  #put(member: KnownMember): void {
    const text = JSON.stringify(member);
    this.store.run("INSERT OR REPLACE INTO cluster_known VALUES (?, ?)", member.node, text);
  }

  /** The port of the door for other nodes at the last start; null before the first. */
  doorPort(): number | null {
    const row = this.store.get("SELECT port FROM cluster_door");
    return row === null ? null : Number(row["port"]);
  }

  /** The address of that door, as it was named last; null where nobody ever named one. */
  doorHost(): string | null {
    const host = this.store.get("SELECT host FROM cluster_door")?.["host"] ?? null;
    return host === null ? null : String(host);
  }

  /** Keeps where the door is; a null host leaves the one that was named before. */
  keepDoor(port: number, host: string | null): void {
    const named = host ?? this.doorHost();
    if (this.doorPort() === port && this.doorHost() === named) return;
    this.store.run("INSERT OR REPLACE INTO cluster_door VALUES (1, ?, ?)", port, named);
  }
}
