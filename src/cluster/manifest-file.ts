import { resolve } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import * as v from "valibot";
import { digestJson } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { claimMaximum, manifestMaximum, nameMaximum } from "./bounds.ts";
import { roles, type CommandOf } from "./event.ts";
import { isLive, type Manifest, type MeshState } from "./state.ts";

/** Bytes of a description; as many nodes as may be fit several times over. */
export const manifestMaximumBytes = 256 * 1024;

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "not 64 hexadecimal digits"));

const fileSchema = v.strictObject({
  /** Digests of policies that the mesh is run under. */
  policies: v.optional(v.pipe(v.array(digest), v.maxLength(claimMaximum)), []),
  node: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          id: v.pipe(
            v.string(),
            v.maxLength(nameMaximum),
            v.regex(/^[a-z0-9][a-z0-9-]*$/, "not a node id"),
          ),
          key: digest,
          roles: v.pipe(v.array(v.picklist(roles)), v.maxLength(roles.length)),
        }),
      ),
      v.maxLength(manifestMaximum),
    ),
    [],
  ),
});

/**
 * What a description says, in the order in which the mesh keeps it, so that its digest depends on
 * neither order nor spacing nor remarks. Refused with `mesh_manifest_wrong`.
 */
export function readManifest(text: string): Manifest {
  const parsed = v.safeParse(fileSchema, parseText(text));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? "";
    throw wrong(`${path || "the description"}: ${issue.message}`, { path });
  }
  const nodes = parsed.output.node
    .map(({ id, key, roles: allowed }) => ({ node: id, key, roles: ordered(allowed) }))
    .toSorted((a, b) => (a.node < b.node ? -1 : 1));
  const twice = nodes.find(({ node }, place) => node === nodes[place + 1]?.node);
  if (twice !== undefined) throw wrong(`${twice.node} stands twice in it`, { node: twice.node });
  const manifest = { nodes, policies: [...new Set(parsed.output.policies)].toSorted() };
  return { ...manifest, digest: digestJson(manifest) };
}

/** Roles in the order of the table, each once. */
const ordered = (given: CommandOf<"node-admitted">["roles"]) =>
  roles.filter((role) => given.includes(role));

/** Reads a description's file. Refused with `not_found` and `mesh_manifest_wrong`. */
export async function readManifestFile(path: string, disk: Disk): Promise<Manifest> {
  const file = resolve(path);
  const found = await disk.stat(file);
  if (found === null)
    throw new Refusal("not_found", `${file} does not exist`, "name the description's file", {
      file,
    });
  if (found.sizeBytes > manifestMaximumBytes)
    throw wrong(`it has more than ${manifestMaximumBytes} bytes`, { file });
  return readManifest(await disk.readText(file));
}

/** A description of the members as they are, to begin one from. */
export function draftManifest({ mesh, members, manifest }: MeshState): string {
  const nodes = members.filter(isLive).map(({ node, key, roles: has, labels }) => {
    const name = labels.map(({ label, value }) => `${label}=${value}`).join(" ");
    return [
      "",
      ...(name === "" ? [] : [`# ${name.replaceAll(/[^ -~]/g, "?")}`]),
      "[[node]]",
      `id = "${node}"`,
      `key = "${key}"`,
      `roles = [${has.map((role) => `"${role}"`).join(", ")}]`,
    ].join("\n");
  });
  const policies = (manifest?.policies ?? []).map((policy) => `"${policy}"`).join(", ");
  return [`# The mesh ${mesh}: who belongs to it.`, `policies = [${policies}]`, ...nodes, ""].join(
    "\n",
  );
}

function parseText(text: string): unknown {
  try {
    return text.trimStart().startsWith("{") ? JSON.parse(text) : parseToml(text);
  } catch (error) {
    const place = error instanceof TomlError ? ` (line ${error.line}, column ${error.column})` : "";
    const said = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw wrong(`it is neither TOML nor JSON${place}: ${said}`);
  }
}

function wrong(why: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return new Refusal(
    "mesh_manifest_wrong",
    `the description of the mesh is not understood: ${why}`,
    "`psionic cluster describe --draft` prints one of the members there are",
    details,
  );
}
