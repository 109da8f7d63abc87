import { createHash, timingSafeEqual } from "node:crypto";
import { holderFailed } from "#src/artifact/holder.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { networkModules } from "#src/surface/network-modules.ts";

/** How `fetch` is told to accept one certificate and no other. */
export interface PinnedTls {
  readonly ca: string;
  readonly checkServerIdentity: () => undefined;
}

const connectTimeMs = 10_000;

/**
 * Looks at a server's certificate once, compares its SHA-256 with the pin, and gives what makes every later
 * connection accept only that certificate, whatever name it carries. The certificate must be self-signed, as
 * those of nodes are.
 *
 * Refusals: `holder_pin_wrong`, `holder_failed`.
 */
export async function pinnedTls(base: URL, pin: string, holder: string): Promise<PinnedTls> {
  const certificate = await presented(base, holder);
  const digest = createHash("sha256").update(certificate).digest();
  if (!timingSafeEqual(digest, Buffer.from(pin, "hex")))
    throw new Refusal(
      "holder_pin_wrong",
      `${holder} shows a certificate of fingerprint ${digest.toString("hex")}`,
      "compare it with what the holder's owner says, and pin that",
      { holder, expected: pin, found: digest.toString("hex") },
    );
  const lines = certificate
    .toString("base64")
    .match(/.{1,64}/g)!
    .join("\n");
  return {
    ca: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    checkServerIdentity: () => undefined,
  };
}

function presented(base: URL, holder: string): Promise<Buffer> {
  const host = base.hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const socket = networkModules.tls.connect({
      ...{ host, port: Number(base.port || 443), rejectUnauthorized: false },
      ...(networkModules.net.isIP(host) ? {} : { servername: host }),
    });
    const fail = (reason: string) => {
      socket.destroy();
      reject(holderFailed(holder, reason));
    };
    socket.setTimeout(connectTimeMs, () => fail(`no TLS within ${connectTimeMs} ms`));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      fail(`the connection failed (${error.code ?? error.message})`),
    );
    socket.once("secureConnect", () => {
      const { raw } = socket.getPeerCertificate();
      if (raw === undefined) return fail("it shows no certificate");
      socket.destroy();
      resolve(raw);
    });
  });
}
