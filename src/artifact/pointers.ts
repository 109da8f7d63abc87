import { join } from "node:path";
import * as v from "valibot";
import { canonicalText, digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { ArtifactParts } from "./parts.ts";
import { digestShape } from "./manifest.ts";

/** Names a home keeps at most. */
export const pointerMaximum = 100_000;

/** A name of an artifact: words joined by `/`, as in `run/r1a2b3c4/checkpoint/500`. */
export const pointerNameSchema = v.pipe(
  v.string(),
  v.maxLength(200),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/,
    "a name is words of letters, digits, dot, dash and underscore, joined by /",
  ),
  v.check((name) => !digestShape.test(name), "a name must not look like a digest"),
);

export interface Pointer {
  readonly name: string;
  readonly artifact: Digest;
  readonly sinceMs: number;
}

const fileShape = v.strictObject({
  format: v.literal("psionic-pointer/1"),
  name: pointerNameSchema,
  artifact: v.pipe(v.string(), v.regex(digestShape)),
  sinceMs: v.pipe(v.number(), v.safeInteger()),
});

/** Names of artifacts: rows for questions, and a file each, so that names outlive the database. */
export class Pointers {
  constructor(readonly parts: ArtifactParts) {}

  get(name: string): Pointer | null {
    const row = this.parts.store().get("SELECT * FROM artifact_pointer WHERE name = ?", name);
    return row === null ? null : asPointer(row);
  }

  all(): Pointer[] {
    return this.parts
      .store()
      .all("SELECT * FROM artifact_pointer ORDER BY name")
      .map((row) => asPointer(row));
  }

  /** The file comes first: a kill between leaves a name that keeps too much, never too little. */
  async write(pointer: Pointer): Promise<void> {
    const { disk, layout } = this.parts;
    const row = this.parts.store().get("SELECT count(*) AS count FROM artifact_pointer");
    if (Number(row!["count"]) >= pointerMaximum && this.get(pointer.name) === null)
      throw new Refusal(
        "artifact_quota",
        `this home has ${pointerMaximum} names of artifacts already`,
        "take some away with `psionic artifact remove NAME`",
        { maximum: pointerMaximum },
      );
    await disk.makeDirectory(layout.pointers);
    const text = canonicalText({ format: "psionic-pointer/1", ...pointer });
    await disk.publish(this.#file(pointer.name), text);
  }

  /** The row, inside the transaction of the caller. */
  put({ name, artifact, sinceMs }: Pointer): void {
    this.parts
      .store()
      .run(
        "INSERT INTO artifact_pointer (name, artifact, since_ms) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET artifact = ?2, since_ms = ?3",
        ...[name, artifact, sinceMs],
      );
  }

  /** Refused with `artifact_unknown`. */
  async remove(name: string): Promise<Pointer> {
    const pointer = this.get(name);
    if (pointer === null)
      throw new Refusal(
        "artifact_unknown",
        `no artifact has the name ${name}`,
        "`psionic artifact list` shows what there is",
        { name },
      );
    await this.parts.disk.remove(this.#file(name));
    await this.parts.disk.syncDirectory(this.parts.layout.pointers).catch(() => {});
    const store = this.parts.store();
    store.transaction(() => {
      store.run("DELETE FROM artifact_pointer WHERE name = ?", name);
      this.parts.journal().append("artifact.removed", pointer.artifact, { name });
    });
    return pointer;
  }

  /** What the files say; files that say nothing are left where they are. */
  async readFiles(): Promise<Pointer[]> {
    const { disk, layout } = this.parts;
    const found: Pointer[] = [];
    for (const { name, kind } of await disk.list(layout.pointers)) {
      if (kind !== "file" || name.startsWith(".")) continue;
      const pointer = readPointer(await disk.readText(join(layout.pointers, name)));
      if (pointer !== null) found.push(pointer);
    }
    return found;
  }

  #file(name: string): string {
    return join(this.parts.layout.pointers, `${digestBytes(name)}.json`);
  }
}

function readPointer(text: string): Pointer | null {
  try {
    const { name, artifact, sinceMs } = v.parse(fileShape, JSON.parse(text));
    return { name, artifact, sinceMs };
  } catch {
    return null;
  }
}

const asPointer = (row: Record<string, unknown>): Pointer => ({
  name: String(row["name"]),
  artifact: String(row["artifact"]),
  sinceMs: Number(row["since_ms"]),
});
