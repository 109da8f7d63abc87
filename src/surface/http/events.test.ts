import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { journalMaximum } from "#src/command/journal.ts";
import { noInteraction } from "#src/node/no-interaction.ts";
import { compose } from "#src/node/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { doorOf } from "./door.ts";
import { openTestDoor, owner, problemIn, until, type TestDoor } from "./http.fixture.ts";
import { listenHttp } from "./listen.ts";

let door: TestDoor;
let isDraining = false;

beforeEach(async () => {
  isDraining = false;
  door = await openTestDoor({
    parts: { draining: () => isDraining },
    limits: { journalPollMs: 10, journalBatch: 20, eventStreams: 3, heartbeatMs: 100 },
  });
});
afterEach(() => door.close());

interface Told {
  readonly id: number;
  readonly event: string;
  readonly data: unknown;
}

/** Follows the events as a client does: blocks with data are events, a bare id is a place. */
async function follow(query = "", headers: Record<string, string> = {}) {
  const leaving = new AbortController();
  const response = await door.own(`/events${query}`, { headers, signal: leaving.signal });
  const told: Told[] = [];
  const state = { place: -1, text: "", ended: false };
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of response.body!) {
      state.text += decoder.decode(piece, { stream: true });
      const blocks = state.text.split("\n\n");
      state.text = blocks.pop()!;
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/, 2)));
        if (fields["id"] !== undefined) state.place = Number(fields["id"]);
        if (fields["data"] !== undefined)
          told.push({
            ...{ id: state.place, event: String(fields["event"]) },
            data: JSON.parse(String(fields["data"])) as unknown,
          });
      }
    }
  })()
    .catch(() => {})
    .finally(() => {
      state.ended = true;
    });
  await until(() => state.place >= 0, "the stream began");
  return {
    ...{ response, told, state },
    async leave() {
      leaving.abort();
      await read;
    },
  };
}

const types = (told: readonly Told[]) => told.map(({ event }) => event);

describe("A-2 /events", () => {
  test("A-2 what happens comes as it happens, with the journal's ids and whole entries", async () => {
    const { journal } = door.services;
    journal.append("run.created", "run1", {});
    const client = await follow();
    expect(client.response.headers.get("content-type")).toBe("text/event-stream");
    const id = journal.append("run.steps", "run1", { from: 1, to: 5 });
    await until(() => client.told.length === 1, "the entry");
    expect(client.told[0]).toMatchObject({
      id,
      event: "run.steps",
      data: { id, type: "run.steps", subject: "run1", body: { from: 1, to: 5 } },
    });
    await client.leave();
    await until(() => doorOf(door.parts).eventStreams.taken === 0, "its place is free");
  });

  test("A-2 a client resumes after the last id it saw, in any number of batches", async () => {
    const { journal } = door.services;
    const ids = Array.from({ length: 50 }, (_, at) => journal.append("run.steps", "run1", { at }));
    for (const [query, headers] of [
      [`?after=${ids[9]}`, {}],
      ["", { "last-event-id": String(ids[9]) }],
      [`?after=${ids[40]}`, { "last-event-id": String(ids[9]) }],
    ] as const) {
      const client = await follow(query, headers);
      await until(() => client.told.length === 40, "what it missed");
      expect(client.told.map(({ id }) => id)).toEqual(ids.slice(10));
      await client.leave();
    }
  });

  test("A-2 a client that a stopped door cut off goes on at the next one, nothing lost or twice", async () => {
    const { journal } = door.services;
    const before = journal.append("run.created", "run1", {});
    const first = await follow(`?after=${before - 1}`);
    await until(() => first.told.length === 1, "the first entry");
    await door.listener.stop();
    await until(() => first.state.ended, "the stream ended");
    const missed = journal.append("run.steps", "run1", {});
    const next = listenHttp({ ...door.parts }, { host: "127.0.0.1", port: 0 });
    const response = await fetch(`${next.url}/events`, {
      headers: { ...owner, "last-event-id": String(first.state.place) },
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("event:")) text += (await reader.read()).value ?? "";
    expect(text).toContain(`id: ${missed}\nevent: run.steps\n`);
    expect(text).not.toContain("run.created");
    await reader.cancel();
    await next.stop();
  });

  test("A-2 entries that other processes of the home write come too", async () => {
    const client = await follow();
    const other = compose({ home: door.services.home.root, interaction: noInteraction });
    other.services.journal.append("policy.added", "p1", {});
    other.close();
    await until(() => client.told.length === 1, "the entry of the other");
    expect(types(client.told)).toEqual(["policy.added"]);
    await client.leave();
  });

  test("A-2 a topic is a subject, a type, or the beginning of types at a dot", async () => {
    const { journal } = door.services;
    const from = journal.append("daemon.started", "", {});
    for (const [type, subject] of [
      ["run.steps", "a"],
      ["run.state", "b"],
      ["runner.odd", "c"],
      ["grant.used", "a"],
    ] as const)
      journal.append(type, subject, {});
    const last = journal.append("daemon.stopping", "", {});
    const cases = [
      ["topic=a", ["run.steps", "grant.used"]],
      ["topic=run", ["run.steps", "run.state"]],
      ["topic=run.state&topic=grant", ["run.state", "grant.used"]],
      ["topic=nothing", []],
    ] as const;
    for (const [query, expected] of cases) {
      const client = await follow(`?after=${from}&${query}`);
      await until(
        () => client.state.place === last,
        "its place moves on with what it does not follow",
      );
      expect(types(client.told)).toEqual([...expected]);
      await client.leave();
    }
  });

  test("A-2 reset tells a client when what it missed is gone, and it goes on from there", async () => {
    const { journal, store } = door.services;
    const ids = Array.from({ length: 8 }, () => journal.append("run.steps", "run1", {}));
    store.run("DELETE FROM journal WHERE id <= ?", ids[4]!);
    const behind = await follow(`?after=${ids[1]}`);
    await until(() => behind.told.length === 4, "reset and the rest");
    expect(types(behind.told)).toEqual(["reset", "run.steps", "run.steps", "run.steps"]);
    expect(behind.told[0]).toEqual({ id: ids[4]!, event: "reset", data: { after: ids[4]! } });
    await behind.leave();
    const ahead = await follow(`?after=${ids[7]! + journalMaximum}`);
    await until(() => ahead.told.length === 1, "reset");
    expect(ahead.told[0]).toEqual({ id: ids[7]!, event: "reset", data: { after: ids[7]! } });
    await ahead.leave();
  });

  test("A-2 silence is filled with comments, so that nothing between cuts the stream", async () => {
    const response = await door.own("/events");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes(": still here\n\n")) text += (await reader.read()).value ?? "";
    expect(text).toContain("retry: 1000");
    await reader.cancel();
  });

  test("A-10 streams beyond those the door allows are 503; HEAD takes no place", async () => {
    const clients = [await follow(), await follow(), await follow()];
    expect((await door.own("/events", { method: "HEAD" })).status).toBe(200);
    expect(await problemIn(await door.own("/events"))).toMatchObject({ code: "door_busy" });
    for (const client of clients) await client.leave();
    await until(() => doorOf(door.parts).eventStreams.taken === 0, "places are free");
    await (await follow()).leave();
  });

  test("A-10 a journal that cannot be read takes no place", async () => {
    const { services } = door;
    const broken = Object.create(services, {
      journal: {
        value: {
          bounds() {
            throw new Refusal("store_busy", "the store is busy", "ask again");
          },
        },
      },
    }) as typeof services;
    const other = listenHttp({ ...door.parts, services: broken }, { host: "127.0.0.1", port: 0 });
    for (let time = 0; time < 8; time++)
      expect(await problemIn(await fetch(`${other.url}/events`, { headers: owner }))).toMatchObject(
        {
          code: "store_busy",
        },
      );
    await other.stop();
  });

  test("A-9 streams end when the node drains, and none begins", async () => {
    const client = await follow();
    isDraining = true;
    await until(() => client.state.ended, "the stream ended");
    expect(await problemIn(await door.own("/events"))).toMatchObject({ code: "daemon_stopping" });
  });

  test("A-9 a stopping door does not wait for those who only watch", async () => {
    const client = await follow();
    const startMs = performance.now();
    await door.listener.stop();
    await until(() => client.state.ended, "the stream ended");
    // Well before the drain time is over.
    expect(performance.now() - startMs).toBeLessThan(1_500);
  });

  test.each([
    ["?after=-1"],
    ["?after=x"],
    ["?after=1e3"],
    [`?topic=${"t".repeat(200)}`],
    [`?${"topic=a&".repeat(20)}`],
  ])("A-2 %s is refused as usage", async (query) => {
    expect(await problemIn(await door.own(`/events${query}`))).toMatchObject({ code: "usage" });
  });

  test("A-4 without the token nobody follows; on the socket the owner does", async () => {
    expect(await problemIn(await door.ask("/events"))).toMatchObject({
      status: 401,
      code: "token_needed",
    });
    const leaving = new AbortController();
    const local = await fetch("http://localhost/events", {
      ...{ unix: door.socket, signal: leaving.signal },
    });
    expect(local.status).toBe(200);
    leaving.abort();
  });
});
