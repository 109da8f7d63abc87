import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { serviceFile, type ServiceFacts } from "./service-files.ts";

const facts: ServiceFacts = {
  command: ["/opt/psionic/psionic"],
  home: "/var/lib/psionic",
  drainMs: 30_000,
  isUser: false,
  userName: "ada",
};

/** Paths a person may really have, and what each format must not read in them. */
const awkward = `/srv/a b/100% "of" $HOME\\'s & <more>`;

const analyze = Bun.which("systemd-analyze");
const missing = "systemd-analyze is not installed";
// On CI the package is installed (.ci/run), so a missing one is a failure there.
const maySkip = analyze === null && !process.env["CI"];

/** What systemd says against the unit of a program of this name. */
async function verified(programName: string, own: Partial<ServiceFacts>) {
  if (analyze === null) throw new Error(missing);
  const folder = mkdtempSync(join(tmpdir(), "psionic-service-"));
  try {
    // systemd looks whether the program is there.
    const program = join(folder, programName);
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    const unit = join(folder, "psionic.service");
    writeFileSync(unit, serviceFile("systemd", { ...facts, command: [program], ...own }).text);
    const mode = own.isUser === true ? ["--user"] : [];
    const child = Bun.spawn([analyze, "verify", ...mode, "--man=no", unit], {
      // A user's manager has a folder to run in.
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = (await child.stdout.text()) + (await child.stderr.text());
    await child.exited;
    return { status: child.exitCode, said };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("A-9 systemd", () => {
  const name = maySkip ? ` (${missing})` : "";
  test.skipIf(maySkip)(`A-9 systemd-analyze has nothing against the unit${name}`, async () => {
    const nothing = { status: 0, said: "" };
    expect(await verified("psionic", {})).toEqual(nothing);
    expect(await verified("psionic", { isUser: true })).toEqual(nothing);
    expect(await verified("a b 100%", { home: awkward })).toEqual(nothing);
    expect(await verified(`a b "c" 'd' $e`, { home: awkward })).toEqual(nothing);
  });

  test.skipIf(maySkip)(`A-9 systemd-analyze sees what is wrong${name}`, async () => {
    const { said } = await verified("psionic", { command: ["/there/is/no/psionic"] });
    expect(said).toContain("/there/is/no/psionic");
  });

  test("A-9 the unit restarts on failure, stops in order and waits for the drain time", () => {
    const { text, path } = serviceFile("systemd", { ...facts, drainMs: 90_000 });
    expect(path).toBe("/etc/systemd/system/psionic.service");
    for (const line of [
      "ExecStart=/opt/psionic/psionic up --drain 90000ms --home /var/lib/psionic",
      "Restart=on-failure",
      "KillMode=mixed",
      "TimeoutStopSec=100",
      "User=ada",
      "WantedBy=multi-user.target",
    ])
      expect(text.split("\n")).toContain(line);
    // Kernels are loaded from memory or from a temporary file.
    expect(text).not.toMatch(/MemoryDenyWriteExecute|PrivateTmp|NoExecPaths|ProtectHome/);
  });

  test("A-9 a user's unit asks for nothing only the machine's may have", () => {
    const { text, path } = serviceFile("systemd", { ...facts, isUser: true });
    expect(path).toContain(".config/systemd/user");
    expect(text).toContain("WantedBy=default.target");
    expect(text).not.toMatch(/^(User|ProtectSystem|ProtectKernel\w+)=|network-online/m);
  });

  test("A-9 spaces, quotes, percent and dollar signs stay what they are", () => {
    const { text } = serviceFile("systemd", { ...facts, home: awkward });
    expect(text).toContain(String.raw`--home "/srv/a b/100%% \"of\" $$HOME\\'s & <more>"`);
  });
});

/** The texts of an XML document that is well formed; throws where it is not. */
function xmlTexts(document: string): { tag: string; text: string }[] {
  const open: string[] = [];
  const texts: { tag: string; text: string }[] = [];
  const body = document.replace(/^<\?xml[^>]*\?>\s*<!DOCTYPE[^>]*>\s*/, "");
  for (const [, close, tag, empty, text] of body.matchAll(
    /<(\/?)(\w+)(?:\s[^<>]*?)?(\/?)>([^<]*)/g,
  )) {
    if (close === "/") {
      if (open.pop() !== tag) throw new Error(`</${tag}> closes nothing`);
    } else if (empty !== "/") open.push(tag!);
    if (/&(?!(amp|lt|gt|quot|apos);)|>/.test(text!)) throw new Error(`raw text: ${text}`);
    const plain = text!.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    if (close !== "/" && text!.trim() !== "") texts.push({ tag: tag!, text: plain });
  }
  if (open.length > 0) throw new Error(`<${open.join("><")}> is never closed`);
  const rebuilt = body.replace(/<\/?\w+(?:\s[^<>]*?)?\/?>[^<]*/g, "");
  if (rebuilt.trim() !== "") throw new Error(`outside of any element: ${rebuilt}`);
  return texts;
}

describe("A-9 launchd", () => {
  test("A-9 the property list is well-formed XML that says the words as they are", () => {
    const { text, path } = serviceFile("launchd", { ...facts, home: awkward, isUser: true });
    expect(path).toBe("~/Library/LaunchAgents/psionic.node.plist");
    const texts = xmlTexts(text);
    const words = texts.filter(({ tag }) => tag === "string").map((each) => each.text);
    expect(words.slice(0, 6)).toEqual([
      ...["psionic.node", "/opt/psionic/psionic", "up", "--drain", "30000ms", "--home"],
    ]);
    expect(words[6]).toBe(awkward);
    expect(texts).toContainEqual({ tag: "key", text: "KeepAlive" });
    expect(texts).toContainEqual({ tag: "integer", text: "40" });
    expect(texts).not.toContainEqual({ tag: "key", text: "UserName" });
  });

  test("A-9 the check of well-formedness finds what is not", () => {
    for (const wrong of ["<a><b></a></b>", "<a>x & y</a>", "<a>", "text"])
      expect(() => xmlTexts(wrong)).toThrow();
  });

  test("A-9 the machine's own runs as its user", () => {
    const { text, path } = serviceFile("launchd", facts);
    expect(path).toContain("/Library/LaunchDaemons/");
    expect(xmlTexts(text)).toContainEqual({ tag: "string", text: "ada" });
  });
});

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly command: readonly string[];
        readonly volumes: readonly { readonly source: string; readonly target: string }[];
        readonly ports: readonly string[];
        readonly healthcheck: { readonly test: readonly string[] };
        readonly stop_grace_period: string;
      }
    >
  >;
  readonly volumes: Readonly<Record<string, unknown>>;
}

describe("A-9 compose", () => {
  test("A-9 the file is YAML with the program, a volume for the home and a health check", () => {
    const { text } = serviceFile("compose", { ...facts, command: [awkward] });
    const { services, volumes } = Bun.YAML.parse(text) as Compose;
    const { psionic } = services;
    expect(psionic!.command.slice(0, 2)).toEqual(["/opt/psionic/psionic", "up"]);
    // Compose itself turns the doubled dollar sign into one.
    expect(psionic!.volumes[0]!.source.replaceAll("$$", "$")).toBe(awkward);
    expect(psionic!.volumes[1]).toMatchObject({ source: "psionic-home", target: "/data" });
    expect(Object.keys(volumes)).toEqual(["psionic-home"]);
    expect(psionic!.ports).toEqual(["127.0.0.1:7421:7421"]);
    expect(psionic!.stop_grace_period).toBe("40s");
    expect(psionic!.healthcheck.test.at(-1)).toContain("GET /healthz");
  });

  test("A-9 its health check is true of a node that lives and false of none", async () => {
    const { services } = Bun.YAML.parse(serviceFile("compose", facts).text) as Compose;
    const [, ...command] = services["psionic"]!.healthcheck.test;
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("ok") });
    const run = async (port: number) => {
      const words = command.map((word) => word.replaceAll("7421", String(port)));
      return Bun.spawn(words, { stdout: "ignore", stderr: "ignore" }).exited;
    };
    const { port } = server;
    expect(await run(port!)).toBe(0);
    await server.stop(true);
    expect(await run(port!)).not.toBe(0);
  });

  test("A-9 a program that runs from source is refused", () => {
    expect(() => serviceFile("compose", { ...facts, command: ["bun", "main.ts"] })).toThrow(
      Refusal,
    );
  });
});

describe("A-9 what no file can say", () => {
  test.each(["systemd", "launchd", "compose"] as const)(
    "A-9 %s: a path with a line end is refused",
    (supervisor) => {
      const path = "/srv/a\nExecStartPre=/bin/false";
      expect(() => serviceFile(supervisor, { ...facts, home: path, command: [path] })).toThrow(
        Refusal,
      );
    },
  );
});
