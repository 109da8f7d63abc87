import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { showBytes } from "./byte-size.ts";
import {
  ensureIdentity,
  nameParameter,
  quotaBytesOf,
  quotaParameter,
} from "./parameter-entries.ts";
import { digestShape } from "./manifest.ts";
import { holderMaximum } from "./pull-request.ts";

const holderReport = v.strictObject({
  holder: v.string(),
  chunks: v.number(),
  bytes: v.number(),
  /** The code of what it was dropped for. */
  dropped: v.nullable(v.string()),
  reason: v.nullable(v.string()),
});

defineCommand({
  name: "artifact/pull",
  summary: "Bring an artifact here from whoever holds it; goes on where it was interrupted.",
  access: "owner",
  flow: "artifact",
  parameters: v.strictObject({
    digest: v.pipe(
      v.string(),
      v.regex(digestShape, "a digest has 64 hexadecimal digits"),
      v.description("the artifact's whole digest"),
    ),
    from: v.optional(
      v.pipe(
        v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(2_000))),
        v.maxLength(holderMaximum),
        v.description(
          "who holds it: http(s)://HOST:PORT, with #sha256=… a pinned certificate, s3://BUCKET/PREFIX, a socket, a folder or home; may stand several times; without it, the members of the mesh",
        ),
      ),
      [],
    ),
    tokenFile: v.optional(
      v.pipe(
        v.string(),
        v.description("file with the holder's token; with several, lines of ORIGIN TOKEN"),
      ),
    ),
    name: nameParameter,
    quota: quotaParameter,
  }),
  positional: ["digest"],
  paths: ["from", "tokenFile"],
  result: v.strictObject({
    artifact: v.string(),
    sizeBytes: v.number(),
    fetchedBytes: v.number(),
    fetchedChunks: v.number(),
    isJoined: v.boolean(),
    holders: v.array(holderReport),
  }),
  examples: [
    `psionic artifact pull ${"0123456789abcdef".repeat(4)}`,
    `psionic artifact pull ${"0123456789abcdef".repeat(4)} --from http://127.0.0.1:7421 --token-file token`,
  ],
  async run({ digest, from, tokenFile, name, quota }, { services, emit, signal }) {
    const { pullArtifact } = await import("./pull.ts");
    const tokenOf = await readTokens(services, from, tokenFile);
    const { artifacts } = services;
    const holders =
      from.length === 0
        ? await artifacts.openMembers(digest, signal)
        : await Promise.all(from.map((each) => artifacts.openHolder(each, tokenOf)));
    await ensureIdentity(services);
    const shelf = await services.artifacts.open();
    return pullArtifact(shelf, {
      ...{ artifact: digest, holders, name: name ?? null, signal },
      quotaBytes: quotaBytesOf(quota),
      onProgress: (progress) => emit({ type: "artifact-progress", ...progress }),
      onDropped: (report) => emit({ type: "holder-dropped", ...report }),
    });
  },
  view: (screen) => ({
    event(event) {
      if (event.type === "holder-dropped")
        return screen.note(
          `${String(event["holder"])} is not asked again: ${String(event["reason"])}`,
        );
      const { doneBytes, totalBytes, bytesPerSecond, etaSeconds } = event;
      const rest = etaSeconds === null ? "" : `, ${Math.ceil(Number(etaSeconds))} s left`;
      screen.draw([
        `${showBytes(Number(doneBytes))} of ${showBytes(Number(totalBytes))}, ${showBytes(Number(bytesPerSecond))}/s${rest}`,
      ]);
    },
    result({ artifact, sizeBytes, fetchedBytes, holders }) {
      screen.draw([]);
      screen.print(artifact);
      screen.note(`${showBytes(sizeBytes)}, ${showBytes(fetchedBytes)} of it fetched`);
      for (const { holder, chunks, bytes } of holders)
        if (chunks > 0) screen.note(`${chunks} chunks, ${showBytes(bytes)} from ${holder}`);
    },
  }),
});

/** Tokens by origin; one that stands alone is for the one address there is. */
async function readTokens(
  services: Services,
  from: readonly string[],
  file: string | undefined,
): Promise<(origin: string) => string | null> {
  if (file === undefined) return () => null;
  const lines = (await services.disk.readText(file)).split(/\r?\n/).map((line) => line.trim());
  const tokens = new Map<string, string>();
  const origins = from.filter((each) => /^https?:/i.test(each)).map((each) => originOf(each));
  for (const line of lines.filter((each) => each !== "")) {
    const [first, second, ...more] = line.split(/\s+/);
    if (more.length > 0 || (second === undefined && origins.length !== 1))
      throw new Refusal(
        "holder_wrong",
        `${file} does not say for which holder a token is`,
        "write lines of an origin and its token: https://HOST:PORT TOKEN",
        { file, origins },
      );
    if (second === undefined) tokens.set(origins[0]!, first!);
    else tokens.set(originOf(first!), second);
  }
  return (origin) => tokens.get(origin) ?? null;
}

const originOf = (address: string) => (URL.canParse(address) ? new URL(address).origin : address);
