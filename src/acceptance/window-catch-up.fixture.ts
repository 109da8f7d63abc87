import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { free } from "./cluster-home.fixture.ts";
import { until } from "./daemon.fixture.ts";
import { eventually, type RunRecord, Trainer } from "./windows.fixture.ts";

/** A node that comes to a run that is under way, and what it tells of its coming. */

/** A pull of an artifact of a run, as the log of who pulled tells it. */
export interface Pull {
  readonly kind: string;
  readonly number: number;
  readonly bytes: number;
  readonly ms: number;
  readonly from: readonly {
    readonly holder: string;
    readonly bytes: number;
    readonly dropped: string | null;
  }[];
}

export class Newcomer extends Trainer {
  /** Joins with the words of a join line. */
  async enter(words: readonly string[]): Promise<void> {
    const { status, stderr } = await this.run(...words, ...free, "--log-level", "debug");
    if (status !== 0) throw new Error(stderr);
  }

  pulls(kind: string): readonly Pull[] {
    return this.log()
      .trimEnd()
      .split("\n")
      .flatMap((line) => {
        const { message = "", properties } = JSON.parse(line) as {
          message?: string;
          properties: Pull;
        };
        return message.startsWith(`fetched ${kind} `) ? [properties] : [];
      });
  }
}

/** The words of a line that lets one node join. */
export async function joinWords(founder: Trainer, ...roles: readonly string[]): Promise<string[]> {
  const { line } = await founder.call<{ line: string }>("token", "create", ...roles);
  return line.split(" ").slice(1);
}

export interface FirstWork {
  /** Windows that were opened when it came. */
  readonly windowsBefore: number;
  /** The window in which it first contributed, and how long after its coming. */
  readonly window: number;
  readonly seconds: number;
}

/** Waits for the first contribution of a node; `sinceMs` is when it began to come. */
export async function firstWork(
  run: string,
  { node, sinceMs }: { readonly node: string; readonly sinceMs: number },
  witness: Trainer,
): Promise<FirstWork> {
  return eventually("its first contribution", async () => {
    const records = await witness.records(run);
    const opened = records.filter(({ command }) => command.kind === "window-opened");
    const windowsBefore = opened.filter((each) => atMsOf(each) < sinceMs).length;
    const first = records.find((each) => each.author === node && saidIn(each) === "contribution");
    if (first === undefined) return null;
    const window = Number(first.command.statement!.said["window"]);
    return { windowsBefore, window, seconds: (atMsOf(first) - sinceMs) / 1000 };
  });
}

/** When the log took it. */
const atMsOf = (record: RunRecord): number => (record as unknown as { atMs: number }).atMs;
const saidIn = ({ command }: RunRecord) => command.statement?.said["saying"];

/** The digest of a revision that was promoted. */
export function promotedDigest(records: readonly RunRecord[], number: number): string | null {
  const found = records
    .map(({ decided }) => decided["revision"] as { number: number; digest: string } | undefined)
    .find((revision) => revision?.number === number);
  return found?.digest ?? null;
}

/** The first revision with which a node asked for work, and the digest it found it to have. */
export function firstReady(records: readonly RunRecord[], node: string) {
  const ready = records.find((each) => each.author === node && saidIn(each) === "ready");
  const said = ready?.command.statement?.said;
  return said === undefined
    ? null
    : { revision: Number(said["revision"]), digest: String(said["digest"]) };
}

/**
 * Somebody in the place of a member whose daemon is down: with its certificate, at its address, with its blobs. `answer`
 * says what comes of a chunk.
 */
export class Impostor implements Disposable {
  /** Chunks it was asked for. */
  asked = 0;
  readonly #server: Bun.Server<undefined>;

  /** Takes the place once the system gives it. */
  static take(...parts: ConstructorParameters<typeof Impostor>): Promise<Impostor> {
    return until("the port is free", () => {
      try {
        return new Impostor(...parts);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return null;
        throw error;
      }
    });
  }

  constructor(
    home: Trainer,
    port: number,
    answer: (chunk: Uint8Array<ArrayBuffer>, vanish: () => void) => Response,
  ) {
    const pem = readFileSync(join(home.path, "identity", "peer-tls.pem"), "utf8");
    const keyAt = pem.indexOf("-----BEGIN PRIVATE KEY-----");
    const folder = join(home.path, "artifacts");
    this.#server = Bun.serve({
      ...{ port, hostname: "127.0.0.1" },
      tls: { cert: pem.slice(0, keyAt), key: pem.slice(keyAt) },
      fetch: (request) => {
        const digest = new URL(request.url).pathname.split("/").at(-1)!;
        const path = readdirSync(folder, { recursive: true })
          .map(String)
          .find((each) => digest.length === 64 && each.endsWith(digest));
        if (path === undefined) return new Response(null, { status: 404 });
        const blob = new Uint8Array(readFileSync(join(folder, path)));
        if (!path.startsWith("chunks")) return new Response(blob);
        this.asked++;
        return answer(blob, () => void this.#server.stop(true));
      },
    });
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}
