import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./build/sources.ts";
import { fillInclusions } from "./documents/inclusion.ts";

/**
 * Shows in the documents what the program really prints.
 *
 *   bun scripts/capture.ts            runs the scenes below with the executable, writes what was
 *                                     printed to fixtures/capture, and fills the documents
 *   bun scripts/capture.ts --include  fills the documents from the files there are
 *   bun scripts/capture.ts --check    fails when a document does not show what its sources say
 */
interface Scene {
  /** The file below fixtures/capture, without its ending. */
  readonly name: string;
  /** Lines of a shell, shown as typed. */
  readonly lines: readonly string[];
}

/** One home for all scenes, in order. */
const scenes: readonly Scene[] = [
  { name: "addition", lines: ["psionic train"] },
  { name: "questions", lines: ["printf '1234+5678\\n9999+1\\n' | psionic chat addition"] },
  {
    name: "proof",
    lines: ["psionic digest addition", "psionic replay addition --steps 401..420 --threads 1"],
  },
];

const captures = join(root, "fixtures/capture");
const documents = ["README.md"];

const filled = (document: string): string =>
  fillInclusions(readFileSync(join(root, document), "utf8"), (path) =>
    readFileSync(join(root, path), "utf8"),
  );

/** Documents that do not show what they say they show. */
function listStale(): string[] {
  return documents.filter(
    (document) => filled(document) !== readFileSync(join(root, document), "utf8"),
  );
}

/** Runs the scenes in a temporary home, with the executable first on the path. */
async function record(): Promise<void> {
  const build = Bun.spawn([process.execPath, "build.ts"], { cwd: root, stdout: 2, stderr: 2 });
  if ((await build.exited) !== 0) throw new Error("the executable did not build");
  const folder = mkdtempSync(join(tmpdir(), "psionic-capture-"));
  try {
    mkdirSync(join(folder, "bin"));
    mkdirSync(captures, { recursive: true });
    symlinkSync(join(root, "dist/psionic"), join(folder, "bin/psionic"));
    for (const { name, lines } of scenes) {
      const shown: string[] = [];
      for (const line of lines) shown.push(`$ ${line}`, await runLine(line, folder));
      writeFileSync(join(captures, `${name}.txt`), `${shown.join("\n").trimEnd()}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What one line prints, both streams as a person sees them. */
async function runLine(line: string, folder: string): Promise<string> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PSIONIC_"));
  const child = Bun.spawn(["sh", "-c", `{ ${line}; } 2>&1`], {
    cwd: folder,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
      PSIONIC_HOME: join(folder, "home"),
      NO_COLOR: "1",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const output = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`${line} failed:\n${output}`);
  return output.trimEnd();
}

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    include: { type: "boolean", default: false },
  },
});
if (values.check) {
  const stale = listStale();
  for (const document of stale)
    console.error(`${document} is not up to date: bun scripts/capture.ts --include`);
  process.exit(stale.length > 0 ? 1 : 0);
}
if (!values.include) await record();
for (const document of documents) writeFileSync(join(root, document), filled(document));
