import { root } from "./build/sources.ts";

/**
 * The loop of a change: format, lint, types, tidiness, unit tests, in under two minutes. Every step
 * runs even if an earlier one failed, and a failed step names the command that shows it again.
 */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** What a person types to see this step alone. */
  readonly shown: string;
}

const typescriptPaths = ["src", "scripts", "build.ts", "embedded.d.ts"];
const formattedPaths = [...typescriptPaths, "package.json", "tsconfig.json", ".oxlintrc.json"];
const bun = process.execPath;

const steps: readonly Step[] = [
  {
    name: "format",
    command: [bun, "fmt", "--check", ...formattedPaths],
    shown: `bun fmt ${formattedPaths.join(" ")}`,
  },
  {
    name: "lint",
    command: ["node_modules/.bin/oxlint", "--type-aware", ...typescriptPaths],
    shown: `node_modules/.bin/oxlint --type-aware ${typescriptPaths.join(" ")}`,
  },
  {
    name: "types",
    // Without --no-script Bun would run the package's own `check` script, which is this file.
    command: [bun, "check", "--no-script"],
    shown: "bun check --no-script",
  },
  {
    name: "types of the page",
    // What runs in a browser knows the document; nothing else may.
    command: [bun, "check", "--no-script", "--project", "src/web"],
    shown: "bun check --no-script --project src/web",
  },
  {
    name: "tidy",
    command: [bun, "test", "./src/tidy", "--only-failures"],
    shown: "bun test ./src/tidy",
  },
  {
    name: "unit tests",
    command: [bun, "scripts/test.ts", "--unit"],
    shown: "./psionic test --unit",
  },
];

const failed: Step[] = [];
for (const step of steps) {
  const startedMs = performance.now();
  const child = Bun.spawn([...step.command], {
    cwd: root,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  const status = await child.exited;
  if (status !== 0) failed.push(step);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${step.name}, ${seconds} s\n`);
}
for (const { name, shown } of failed) console.log(`FAIL ${name}: ${shown}`);
process.exit(failed.length > 0 ? 1 : 0);
