import { DaemonHome, lives, until } from "./daemon.fixture.ts";

/** Several homes on this machine that become one mesh. Their doors take any free port. */

export const minutes = 60_000;
export const free = ["--detach", "--port", "0", "--peer-port", "0"] as const;

export interface Row {
  readonly node: string;
  readonly isSelf: boolean;
  readonly standing: string;
  readonly link: { readonly state: string } | null;
}

export interface Status {
  readonly mesh: string;
  readonly leader: string | null;
  readonly digest: string;
  readonly node: { readonly node: string; readonly taking: string; readonly epoch: number };
  readonly log: { readonly appliedIndex: number };
}

export class Member extends DaemonHome {
  async call<T>(...words: string[]): Promise<T> {
    return (await this.json(...words)) as T;
  }

  status = () => this.call<Status>("cluster", "status");

  async nodes(...words: string[]): Promise<readonly Row[]> {
    return (await this.call<{ nodes?: readonly Row[] }>("nodes", ...words)).nodes ?? [];
  }

  /** Starts its daemon; gives the words that join another home to it, of a founder. */
  async open(): Promise<string[]> {
    const { join } = await this.call<{ join: string | null }>("up", ...free);
    return join === null ? [] : join.split(" ").slice(1);
  }

  async sees(count: number, standing = "ready"): Promise<boolean> {
    const rows = await this.nodes();
    const isThere = (row: Row) =>
      row.standing === standing && (row.isSelf || row.link?.state === "connected");
    return rows.filter(isThere).length === count;
  }

  async receipts(kind: string): Promise<readonly Record<string, unknown>[]> {
    const listed = await this.call<{ receipts: readonly Record<string, unknown>[] }>(
      ...["receipt", "list", "--kind", kind],
    );
    return listed.receipts;
  }
}

/** A mesh of so many homes, the founder first. */
export async function mesh(...members: readonly Member[]): Promise<void> {
  const [founder, ...others] = members;
  await founder!.open();
  for (const other of others) {
    const { line } = await founder!.call<{ line: string }>("token", "create");
    const joined = await other.run(...line.split(" ").slice(1), ...free);
    if (joined.status !== 0) throw new Error(joined.stderr);
  }
  await until("all see each other", async () => {
    const seen = await Promise.all(members.map((each) => each.sees(members.length)));
    return seen.every(Boolean);
  });
}

/** Waits until both have applied as much, and gives the two digests of their states. */
export async function digests(...members: readonly Member[]): Promise<readonly string[]> {
  return until("equal indexes", async () => {
    const all = await Promise.all(members.map((each) => each.status()));
    const indexes = new Set(all.map(({ log }) => log.appliedIndex));
    return indexes.size === 1 ? all.map(({ digest }) => digest) : null;
  });
}

export const kill = async (home: DaemonHome) => {
  const { pid } = home.file;
  process.kill(pid, "SIGKILL");
  await until("it is gone", () => !lives(pid));
};
