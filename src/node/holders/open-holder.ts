import { join, resolve } from "node:path";
import { FolderHolder } from "#src/artifact/folder-holder.ts";
import type { Holder } from "#src/artifact/holder.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { BucketHolder } from "./bucket-holder.ts";
import { HttpHolder } from "./http-holder.ts";

export interface HolderSurroundings {
  readonly disk: Disk;
  readonly environment: Readonly<Record<string, string | undefined>>;
  tokenOf(origin: string): string | null;
}

/** A holder by how a person names it (src/artifact/services.ts). Refused with `holder_wrong`. */
export async function openHolder(from: string, around: HolderSurroundings): Promise<Holder> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(from)?.[1]?.toLowerCase();
  if (scheme === undefined) return openPath(resolve(from), around);
  const url = URL.canParse(from) ? new URL(from) : null;
  if (url === null) throw holderWrong(from, "it is no address");
  if (url.username !== "" || url.password !== "")
    throw holderWrong(url.host, "an address must not carry a password, which others could see");
  if (scheme === "s3") return openBucket(url, around);
  if (scheme === "http" || scheme === "https") return openHttp(url, around);
  throw holderWrong(from, "it is neither http, https nor s3");
}

function openBucket(url: URL, { environment }: HolderSurroundings): Holder {
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
  return new BucketHolder({
    ...{ bucket: url.host, prefix: prefix === "" ? "" : `${prefix}/`, environment },
  });
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

function openHttp(url: URL, { tokenOf }: HolderSurroundings): Holder {
  const pin = /^#sha256=([0-9a-f]{64})$/i.exec(url.hash)?.[1]?.toLowerCase() ?? null;
  if (url.hash !== "" && pin === null)
    throw holderWrong(url.origin, "after # only sha256= and 64 hexadecimal digits may stand");
  if (pin !== null && url.protocol !== "https:")
    throw holderWrong(url.origin, "only https has a certificate to pin");
  const token = tokenOf(url.origin);
  if (token !== null && url.protocol === "http:" && !loopback.test(url.hostname))
    throw holderWrong(url.origin, "a token is sent over https only, but to this machine itself");
  const base = new URL(url.pathname.endsWith("/") ? url.pathname : `${url.pathname}/`, url.origin);
  return new HttpHolder({ base, name: base.href.replace(/\/$/, ""), token, pin });
}

async function openPath(path: string, { disk }: HolderSurroundings): Promise<Holder> {
  const status = await disk.stat(path);
  if (status === null) throw holderWrong(path, "it does not exist");
  if (status.kind === "other")
    return new HttpHolder({ base: new URL("http://localhost/"), name: path, socket: path });
  for (const root of [path, join(path, "artifacts")])
    if ((await disk.stat(join(root, "manifests")))?.kind === "directory")
      return new FolderHolder(disk, root, path);
  throw holderWrong(path, "it is no folder of artifacts");
}

function holderWrong(holder: string, reason: string): Refusal {
  return new Refusal(
    "holder_wrong",
    `${holder} cannot be a holder: ${reason}`,
    "name http://HOST:PORT, https://HOST:PORT#sha256=…, s3://BUCKET/PREFIX, a socket or a folder",
    { holder, reason },
  );
}
