import { expect, test } from "bun:test";
import { openTestDoor } from "#src/surface/http/http.fixture.ts";

test("A-10 a client that says nothing, or drips its headers, is cut off", async () => {
  const strict = await openTestDoor();
  const silent = await strict.raw("");
  const dripping = await strict.raw("GET /healthz HTTP/1.1\r\nX: ");
  const drip = setInterval(() => dripping.socket.write("a"), 50);
  await Promise.all([silent.closed, dripping.closed]);
  clearInterval(drip);
  expect([silent.received(), dripping.received()]).toEqual(["", ""]);
  await strict.close();
}, 30_000);
