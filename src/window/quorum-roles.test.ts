import { expect, test } from "bun:test";
import { quorumOf } from "./promotion.ts";
import { TestRuns } from "./run.fixture.ts";

test("W-10 who holds a revision and is no trainer any more is not waited for by the quorum", () => {
  const mesh = new TestRuns(["a", "b"]);
  mesh.ready("a");
  mesh.ready("b");
  mesh.open();
  expect(quorumOf(mesh.run, mesh.window, mesh.around)).toBe(2);
  mesh.change("b", { isTrainer: false });
  expect(quorumOf(mesh.run, mesh.window, mesh.around)).toBe(1);
});
