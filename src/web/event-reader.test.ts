import { expect, test } from "bun:test";
import { backoffMs, EventReader, lineMaximum, LineReader } from "./event-reader.ts";

const text =
  'retry: 1000\nid: 4\n\nid: 5\nevent: run.steps\ndata: {"a":1}\n\n: still here\n\ndata: x\r\ndata: y\r\n\r\nid: 9\n\n';

test("events are the same however the stream is cut", () => {
  for (let cut = 0; cut <= text.length; cut++) {
    const reader = new EventReader();
    const events = [...reader.push(text.slice(0, cut)), ...reader.push(text.slice(cut))];
    expect(events).toEqual([
      { id: "5", name: "run.steps", data: '{"a":1}' },
      { id: "5", name: "message", data: "x\ny" },
    ]);
    // An id without data is no event, and still where to resume.
    expect(reader.lastId).toBe("9");
  }
});

test("an event that is not finished is not told", () => {
  const reader = new EventReader();
  expect(reader.push("id: 7\ndata: half\n")).toEqual([]);
  expect(reader.lastId).toBe("");
});

test("a line without end is refused", () => {
  const reader = new LineReader();
  expect(() => reader.push("x".repeat(lineMaximum + 1))).toThrow("too long");
});

test("attempts to connect grow apart, up to a quarter of a minute", () => {
  expect([0, 1, 2, 5, 50].map(backoffMs)).toEqual([500, 1000, 2000, 15_000, 15_000]);
});
