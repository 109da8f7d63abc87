import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestCertificate {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of the certificate, as a pin names it. */
  readonly pin: string;
}

/** A self-signed P-256 certificate, as a node has one; it names no host that a test uses. */
export function makeCertificate(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), "psionic-certificate-"));
  try {
    const [keyPath, path] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const made = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
      ...["-nodes", "-days", "2", "-subj", "/CN=a node", "-keyout", keyPath, "-out", path],
    ]);
    if (made.exitCode !== 0) throw new Error(`openssl failed: ${made.stderr.toString()}`);
    const cert = readFileSync(path, "utf8");
    const pin = createHash("sha256").update(new X509Certificate(cert).raw).digest("hex");
    return { key: readFileSync(keyPath, "utf8"), cert, pin };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
