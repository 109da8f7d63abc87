import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verifyBundleText } from "./bundle-file.ts";
import { workedExample } from "./worked-example.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "psionic-receipts-document-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const document = readFileSync(join(import.meta.dir, "../../docs/RECEIPTS.md"), "utf8");
const fenced = (language: string) =>
  [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(
    ([, block]) => block!,
  );

const tools = ["bash", "openssl", "sha256sum", "xxd", "base32", "sed", "grep"];
const missing = tools.filter((tool) => Bun.which(tool) === null);
/** Where a tool is missing the reason is in the test's name; on CI every tool has to be there. */
const reason = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} is not installed)`;
const skips = missing.length > 0 && !process.env["CI"];

/** Runs the commands of the page in one shell, as a reader would; `sabotage` goes between. */
async function follow(sabotage = ""): Promise<{ stdout: string; status: number | null }> {
  const [bundle, ...rest] = fenced("sh");
  const child = Bun.spawn(
    ["bash", "-euo", "pipefail", "-c", [bundle, sabotage, ...rest].join("\n")],
    { cwd: folder, stdout: "pipe", stderr: "pipe" },
  );
  const [stdout] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, status: child.exitCode };
}

describe("docs/RECEIPTS.md", () => {
  test("its example is what the program makes and verifies", () => {
    const lines = workedExample();
    expect(document).toContain(lines.join("\n"));
    expect(verifyBundleText(`${lines.join("\n")}\n`)).toMatchObject({ count: 3, rotationCount: 1 });
  });

  test.skipIf(skips)(`its commands, as written, print what it says${reason}`, async () => {
    expect(missing).toEqual([]);
    const { stdout, status } = await follow();
    expect(status).toBe(0);
    expect(stdout).toBe(fenced("text").join(""));
  });

  test.skipIf(skips)(`its commands fail on a changed bundle${reason}`, async () => {
    for (const change of ["2s/100/101/", "3s/overlapUntilMs.:1/&0/", "4s/finished/failed/"]) {
      const { status } = await follow(
        `sed '${change}' bundle.jsonl > changed; mv changed bundle.jsonl`,
      );
      expect([change, status]).not.toEqual([change, 0]);
    }
  });
});
