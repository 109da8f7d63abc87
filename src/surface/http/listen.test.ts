import { expect, test } from "bun:test";
import { openTestDoor, owner } from "./http.fixture.ts";

test("A-2 a door that is open before its node is lets requests wait, and then answers them", async () => {
  const opened = Promise.withResolvers<void>();
  const door = await openTestDoor({ parts: { opened: opened.promise } });
  let isAnswered = false;
  const answer = door.ask("/commands/commands/list", {
    ...{ method: "POST", body: "{}" },
    headers: { ...owner, "content-type": "application/json" },
  });
  void answer.then(() => (isAnswered = true));
  // As long as another door takes to answer the same.
  const other = await openTestDoor();
  expect((await other.ask("/healthz")).status).toBe(200);
  expect(isAnswered).toBe(false);
  opened.resolve();
  expect((await answer).status).toBe(200);
  await Promise.all([door.close(), other.close()]);
});
