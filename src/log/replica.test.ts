import { describe, expect, test } from "bun:test";
import { founding, type Durable } from "./durable.ts";
import { Fold, type Meaning, type Payload } from "./fold.ts";
import type { Message } from "./message.ts";
import { Replica, type Effect, type Input, type Outcome } from "./replica.ts";
import { Sessions } from "./sessions.ts";

/** Words one after the other; the result is how many there are. */
class Words implements Meaning {
  words: string[] = [];
  apply(body: string): string {
    this.words.push(body);
    return String(this.words.length);
  }
  ask(): string {
    return this.words.join(" ");
  }
  save(): string {
    return this.words.join(" ");
  }
  load(text: string): void {
    this.words = text === "" ? [] : text.split(" ");
  }
}

const start = (voters: readonly string[]) =>
  founding({ voters, learners: [] }, new Fold(new Words(), 4, null).save());

function replicaOf(
  id: string,
  durable: Durable,
  snapshotEvery = 1000,
  committedIndex = 0,
): Replica {
  return new Replica(
    {
      committedIndex,
      ...{ id, draw: () => 0, meaning: new Words(), sessionMaximum: 4 },
      tuning: { heartbeatTicks: 2, electionTicks: 10, entriesPerMessage: 64 },
      ...{ snapshotEvery, keptEntries: 2 },
    },
    durable,
  );
}

/** One node alone, whose writes are stored when a test says so. */
class Alone {
  readonly replica: Replica;
  tokens: number[] = [];
  answers: (readonly [number, Outcome])[] = [];
  messages: Message[] = [];
  effects: Effect[] = [];

  constructor(
    voters: readonly string[] = ["n1"],
    readonly snapshotEvery = 1000,
  ) {
    this.replica = replicaOf("n1", start(voters), snapshotEvery);
  }

  step(input: Input): void {
    for (const effect of this.replica.step(input)) {
      this.effects.push(effect);
      if (effect.kind === "store") this.tokens.push(effect.token);
      if (effect.kind === "send") this.messages.push(effect.message);
      if (effect.kind === "answer") this.answers.push([effect.request, effect.outcome]);
    }
  }

  store(): void {
    while (this.tokens.length > 0) this.step({ kind: "stored", token: this.tokens.shift()! });
  }

  lead(): this {
    while (this.replica.core.role === "follower") this.step({ kind: "tick" });
    this.store();
    return this;
  }

  submit(request: number, payload: Payload): Outcome | undefined {
    this.step({ kind: "submit", request, payload });
    this.store();
    return this.outcome(request);
  }

  outcome(request: number): Outcome | undefined {
    return this.answers.find(([each]) => each === request)?.[1];
  }
}

const command = (session: number, number: number, body: string): Payload => ({
  ...{ kind: "command", session, number, body },
});

describe("C-3 a replica", () => {
  test("C-3 a command is applied once, also when it is submitted again", () => {
    const node = new Alone().lead();
    expect(node.submit(1, { kind: "open" })).toEqual({ kind: "done", index: 2, result: "2" });
    const first = node.submit(2, command(2, 1, "a"));
    expect(first).toEqual({ kind: "done", index: 3, result: "1" });
    expect(node.submit(3, command(2, 1, "a"))).toEqual(first);
    expect(node.submit(4, command(2, 2, "b"))).toMatchObject({ kind: "done", result: "2" });
    expect(node.replica.ask("")).toBe("a b");
  });

  test("C-3 a command out of order or of an unknown session is applied nowhere", () => {
    const node = new Alone().lead();
    node.submit(1, { kind: "open" });
    const refused = (reason: string) => ({ kind: "unapplied", reason }) as Outcome;
    expect(node.submit(2, command(2, 2, "b"))).toEqual(refused("out_of_order"));
    expect(node.submit(3, command(2, 0, "b"))).toEqual(refused("out_of_order"));
    expect(node.submit(4, command(77, 1, "b"))).toEqual(refused("session_unknown"));
    expect(node.replica.ask("")).toBe("");
  });

  test("C-3 sessions have a bound: the one longest unused is forgotten, and its commands refused", () => {
    const sessions = new Sessions(2);
    expect(sessions.open(1)).toBe(false);
    expect(sessions.open(2)).toBe(false);
    sessions.record({ id: 1, number: 1, index: 3, result: "x" });
    expect(sessions.open(4)).toBe(true);
    expect(sessions.known(2, 1)).toEqual({ kind: "unapplied", reason: "session_unknown" });
    expect(sessions.known(1, 1)).toEqual({ kind: "done", index: 3, result: "x" });
    expect(sessions.known(1, 2)).toBeNull();
    const other = new Sessions(2);
    other.load(sessions.save());
    expect(other.save()).toEqual(sessions.save());
    expect(() => sessions.record({ id: 1, number: 2, index: 5, result: "x".repeat(5000) })).toThrow(
      "bound",
    );
  });

  test("C-3 a node that does not lead says who does, and takes nothing", () => {
    const node = new Alone(["n1", "n2"]);
    node.step({ kind: "submit", request: 1, payload: { kind: "open" } });
    node.step({ kind: "read", request: 2, question: "" });
    node.step({ kind: "member", request: 3, id: "n2", place: "out" });
    const refused: Outcome = { kind: "refused", reason: "not_leader", leader: "" };
    expect(node.answers).toEqual([
      [1, refused],
      [2, refused],
      [3, refused],
    ]);
    expect(node.replica.requestCount).toBe(0);
  });

  test("C-3 who loses its office says that what it took is uncertain", () => {
    const node = new Alone(["n1", "n2"]);
    while (node.replica.core.role === "follower") node.step({ kind: "tick" });
    const reply = { from: "n2", to: "n1", term: 1, granted: true } as const;
    node.step({ kind: "message", message: { ...reply, kind: "pre-vote-reply" } });
    node.store();
    node.step({ kind: "message", message: { ...reply, kind: "vote-reply" } });
    node.store();
    expect(node.replica.core.role).toBe("leader");
    node.submit(1, { kind: "open" });
    expect(node.outcome(1)).toBeUndefined();
    const append = { previousIndex: 0, previousTerm: 0, entries: [], commitIndex: 0, round: 1 };
    const message: Message = { from: "n2", to: "n1", term: 2, kind: "append", ...append };
    node.step({ kind: "message", message });
    expect(node.outcome(1)).toEqual({ kind: "uncertain", leader: "n2" });
  });

  test("C-3 requests beyond the bound are refused as busy", () => {
    const node = new Alone(["n1", "n2"]);
    while (node.replica.core.role === "follower") node.step({ kind: "tick" });
    const reply = { from: "n2", to: "n1", term: 1, granted: true } as const;
    node.step({ kind: "message", message: { ...reply, kind: "pre-vote-reply" } });
    node.store();
    node.step({ kind: "message", message: { ...reply, kind: "vote-reply" } });
    for (let request = 1; request <= 1100; request++) node.submit(request, { kind: "open" });
    const refusals = node.answers.map(([, outcome]) => outcome);
    expect(refusals.length).toBeGreaterThan(70);
    expect(refusals.every((each) => each.kind === "refused" && each.reason === "busy")).toBe(true);
    expect(node.replica.requestCount).toBeLessThanOrEqual(1024);
  });
});

describe("C-4 persist, then send", () => {
  test("C-4 nothing is sent before everything asked for so far is stored", () => {
    const node = new Alone(["n1", "n2", "n3"]);
    const message: Message = {
      ...{ from: "n2", to: "n1", term: 1, kind: "vote" },
      ...{ lastIndex: 0, lastTerm: 0, transfer: false },
    };
    node.step({ kind: "message", message });
    expect(node.tokens).toEqual([1]);
    expect(node.messages).toEqual([]);
    // A heartbeat needs no write, and still waits: it says nothing ahead of the vote.
    const append = { previousIndex: 0, previousTerm: 0, entries: [], commitIndex: 0, round: 1 };
    node.step({
      kind: "message",
      message: { from: "n2", to: "n1", term: 1, kind: "append", ...append },
    });
    expect(node.messages).toEqual([]);
    node.store();
    expect(node.messages.map(({ kind }) => kind)).toEqual(["vote-reply", "append-reply"]);
  });

  test("C-4 an entry counts for its leader when it is stored, and not before", () => {
    const node = new Alone().lead();
    node.step({ kind: "submit", request: 1, payload: { kind: "open" } });
    expect(node.outcome(1)).toBeUndefined();
    node.store();
    expect(node.outcome(1)).toMatchObject({ kind: "done" });
  });

  test("C-4 after a failed write a node says nothing any more", () => {
    const node = new Alone().lead();
    node.step({ kind: "submit", request: 1, payload: { kind: "open" } });
    node.step({ kind: "failed", token: node.tokens.shift()! });
    const count = node.effects.length;
    expect(node.replica.hasFailed).toBe(true);
    for (let tick = 0; tick < 40; tick++) node.step({ kind: "tick" });
    node.step({ kind: "submit", request: 2, payload: { kind: "open" } });
    expect(node.effects.length).toBe(count);
  });

  test("C-4 writes are stored in order or not at all", () => {
    const node = new Alone().lead();
    node.step({ kind: "submit", request: 1, payload: { kind: "open" } });
    node.step({ kind: "submit", request: 2, payload: { kind: "open" } });
    expect(() => node.step({ kind: "stored", token: node.tokens[1]! })).toThrow("in order");
  });
});

describe("C-5 a restart", () => {
  test("C-5 knows at once what it had applied, and no more, though nobody else is there", () => {
    const node = new Alone().lead();
    node.submit(1, { kind: "open" });
    for (let number = 1; number <= 5; number++)
      node.submit(1 + number, command(2, number, `w${number}`));
    const { core } = node.replica;
    const { snapshot } = core.history;
    const membership = { voters: ["n1", "n2"], learners: [] };
    const durable = {
      ...{ ballot: { term: core.term, vote: core.vote }, snapshot: { ...snapshot, membership } },
      entries: core.history.from(snapshot.index + 1, 100),
    };
    const restarted = (committedIndex: number) => {
      const again = replicaOf("n1", durable, 1000, committedIndex);
      const applied = again.step({ kind: "tick" }).filter(({ kind }) => kind === "applied");
      expect(applied).toHaveLength(again.appliedIndex);
      return again;
    };
    expect(restarted(0).ask("")).toBe("");
    expect(restarted(core.lastIndex - 2).ask("")).toBe("w1 w2 w3");
    expect(restarted(core.lastIndex + 9).ask("")).toBe("w1 w2 w3 w4 w5");
  });
});

describe("C-5 snapshots", () => {
  test("C-5 the log is cut at a bounded length, and a restart gives the same state", () => {
    const node = new Alone(["n1"], 8).lead();
    node.submit(1, { kind: "open" });
    for (let number = 1; number <= 50; number++)
      node.submit(1 + number, command(2, number, `w${number}`));
    const { history } = node.replica.core;
    expect(history.snapshot.index).toBeGreaterThan(30);
    expect(history.lastIndex - history.snapshot.index).toBeLessThanOrEqual(8 + 2 + 1);
    const { snapshot } = history;
    const entries = history.from(snapshot.index + 1, 100);
    const { term, vote } = node.replica.core;
    const again = replicaOf("n1", { ballot: { term, vote }, snapshot, entries });
    expect(again.appliedIndex).toBe(snapshot.index);
    const tokens: number[] = [];
    const feed = (input: Input) => {
      for (const effect of again.step(input))
        if (effect.kind === "store") tokens.push(effect.token);
    };
    for (let tick = 0; tick < 20; tick++) {
      feed({ kind: "tick" });
      while (tokens.length > 0) feed({ kind: "stored", token: tokens.shift()! });
    }
    expect(again.ask("")).toBe(node.replica.ask(""));
    // Sessions are a part of the state: what was answered before the cut is not applied again.
    feed({ kind: "submit", request: 1, payload: command(2, 50, "w50") });
    while (tokens.length > 0) feed({ kind: "stored", token: tokens.shift()! });
    expect(again.ask("")).toBe(node.replica.ask(""));
  });

  test("C-5 digests are equal at equal index, and only with equal state", () => {
    const [one, two] = [new Alone().lead(), new Alone().lead()];
    for (const node of [one, two]) node.submit(1, { kind: "open" });
    expect(one.replica.digest()).toBe(two.replica.digest());
    one.submit(2, command(2, 1, "a"));
    two.submit(2, command(2, 1, "b"));
    expect(one.replica.appliedIndex).toBe(two.replica.appliedIndex);
    expect(one.replica.digest()).not.toBe(two.replica.digest());
  });
});
