/** What the page's tests pretend of a run of the mesh is what the node's commands answer. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import { meshRunResult } from "#src/node/windows-commands/mesh-status.ts";
import { runEventSchema } from "#src/node/windows-commands/run-events.ts";
import { windowRowSchema } from "#src/node/windows-commands/run-windows.ts";
import { fixtureEvents, fixtureMesh, fixtureWindows } from "#src/web/window.fixture.ts";

/** Names and values of a record that a node would never answer. Lists and parts are looked at by themselves. */
function unlikeAnswer(
  record: object,
  entries: Readonly<Record<string, v.GenericSchema>>,
): string[] {
  return Object.entries(record).flatMap(([name, value]) => {
    const schema = entries[name];
    if (schema === undefined) return [name];
    const isPart = typeof value === "object" && value !== null;
    return isPart || v.is(schema, value) ? [] : [`${name}: ${String(value)}`];
  });
}

test("W-12 the status, windows and events that the page reads are those the node answers", () => {
  const mesh = fixtureMesh();
  const { participants, window, loss, spent } = meshRunResult.entries;
  const [row] = fixtureWindows;
  const found = {
    status: unlikeAnswer(mesh, meshRunResult.entries),
    participants: mesh.participants.flatMap((each) =>
      unlikeAnswer(each, participants.item.entries),
    ),
    window: unlikeAnswer(mesh.window!, window.wrapped.entries),
    loss: unlikeAnswer(mesh.loss!, loss.wrapped.entries),
    spent: unlikeAnswer(mesh.spent!, spent.wrapped.entries),
    windows: fixtureWindows.flatMap((each) => unlikeAnswer(each, windowRowSchema.entries)),
    parts: fixtureWindows
      .flatMap(({ parts }) => parts)
      .flatMap((each) => unlikeAnswer(each, windowRowSchema.entries.parts.item.entries)),
    verdicts: row!.parts[0]!.verdicts.flatMap((each) =>
      unlikeAnswer(each, windowRowSchema.entries.parts.item.entries.verdicts.item.entries),
    ),
    events: fixtureEvents.flatMap((each) => unlikeAnswer(each, runEventSchema.entries)),
  };
  expect(Object.values(found).flat()).toEqual([]);
  // A name or a word that no node says is found.
  expect(unlikeAnswer({ phase: "dreaming", other: 1 }, meshRunResult.entries)).toEqual([
    "phase: dreaming",
    "other",
  ]);
});
