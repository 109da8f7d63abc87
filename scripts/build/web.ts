import { existsSync } from "node:fs";
import { join } from "node:path";
import { digestSources, root, writeAtomically } from "./sources.ts";
import { BuildFailure } from "./target.ts";

/** What the page is made of; tests beside it change nothing. */
const webPatterns = [
  "src/web/**/*",
  "scripts/build/*",
  "package.json",
  "bun.lock",
  "tsconfig.json",
];

const folder = join(root, ".build/web");
const files = ["index.html", "page.js", "page.css", "icon.svg"];

async function bundle(): Promise<ReadonlyMap<string, string>> {
  const result = await Bun.build({
    entrypoints: [join(root, "src/web/view/main.tsx"), join(root, "src/web/view/page.css")],
    target: "browser",
    format: "esm",
    minify: true,
    sourcemap: "none",
    // Without it the development transform of JSX, with file names of this machine, is chosen.
    define: { "process.env.NODE_ENV": '"production"' },
    throw: false,
  });
  if (!result.success) {
    throw new BuildFailure("the page did not build", result.logs.map(String).join("\n"), 1);
  }
  const outputs = new Map<string, string>();
  for (const output of result.outputs) {
    const name = output.path.endsWith(".css") ? "page.css" : "page.js";
    if (outputs.has(name)) throw new BuildFailure(`the page has a second ${name}`, "", 1);
    outputs.set(name, await output.text());
  }
  for (const name of ["index.html", "icon.svg"]) {
    outputs.set(name, await Bun.file(join(root, "src/web/view", name)).text());
  }
  return outputs;
}

/**
 * Bundles the page into `.build/web`: one document, one script, one style sheet and an icon, which
 * the executable embeds through `#web/*`. Nothing is done while its sources are those of the last
 * time.
 */
export async function buildWeb(): Promise<void> {
  const stampPath = join(folder, "web.stamp");
  const stamp = `${await digestSources(webPatterns)} ${Bun.version}\n`;
  const stampFile = Bun.file(stampPath);
  const isFresh =
    files.every((name) => existsSync(join(folder, name))) &&
    (await stampFile.exists()) &&
    (await stampFile.text()) === stamp;
  if (isFresh) return;
  const outputs = await bundle();
  for (const name of files) {
    const content = outputs.get(name);
    if (content === undefined) throw new BuildFailure(`the page has no ${name}`, "", 1);
    await writeAtomically(join(folder, name), content);
  }
  await writeAtomically(stampPath, stamp);
}
