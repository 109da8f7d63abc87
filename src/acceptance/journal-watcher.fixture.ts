import { join } from "node:path";

/** Follows /events of a home through every restart, from the first entry on, by Last-Event-ID. */
export class JournalWatcher {
  /** What it was told: id, type and subject of each entry, in the order in which they came. */
  readonly told: string[] = [];
  readonly #stop = new AbortController();
  /** Id of the last entry it is past. */
  place = "0";

  constructor(readonly home: string) {
    void this.#follow();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const request: BunFetchRequestInit = {
          ...{ unix: join(this.home, "psionic.sock"), signal, timeout: false, keepalive: false },
          headers: { "last-event-id": this.place },
        };
        const response = await fetch("http://localhost/events", request);
        if (response.ok) await this.#read(response);
      } catch {
        // Nobody answers, or the daemon was killed.
      }
      await Bun.sleep(20);
    }
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const piece of response.body!) {
      const blocks = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block: string): void {
    const fields = new Map(
      block.split("\n").map((line) => line.split(/: (.*)/, 2) as [string, string]),
    );
    const id = fields.get("id");
    if (id !== undefined) this.place = id;
    const data = fields.get("data");
    if (data === undefined) return;
    const { subject = "" } = JSON.parse(data) as { subject?: string };
    this.told.push(`${id} ${fields.get("event")} ${subject}`);
  }
}
