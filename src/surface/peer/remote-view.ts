import * as v from "valibot";
import type { Event, Screen, View } from "#src/command/define.ts";
import type { AnyCommand, Registry } from "#src/command/registry.ts";
import { printable } from "#src/surface/cli/printable.ts";

/**
 * Shows what another node's command says as this node's command of the same name would, with
 * everything that could steer a terminal made visible. What does not fit the command's declared result,
 * or belongs to a command unknown here, is shown as JSON: the other node may be of another version,
 * or lie.
 */
export function remoteView(screen: Screen, registry: Registry): View<unknown> {
  const shown = careful(screen);
  let command: AnyCommand | null = null;
  let view: View<unknown> = {};
  return {
    event(event) {
      if (command === null && event.type === "peer.met") {
        command = registry.get(String(event["command"])) ?? null;
        view = command?.view?.(shown) ?? {};
        screen.note(`${printable(String(event["node"]))} answers`);
      } else showEvent(event);
    },
    result(result) {
      const schema = command?.result;
      const fits = schema !== undefined && v.is(schema, result);
      if (fits && view.result) view.result(result);
      else if (result !== null) shown.print(JSON.stringify(result, null, 2));
    },
  };

  function showEvent(event: Event): void {
    if (view.event === undefined) return;
    try {
      view.event(event);
    } catch {
      // Events have no declared shape; one this version cannot show is still told.
      shown.note(JSON.stringify(event));
    }
  }
}

/** A screen on which text from outside moves nothing. */
function careful(screen: Screen): Screen {
  return {
    columns: screen.columns,
    live: screen.live,
    colour: false,
    print: (text) => screen.print(printable(text)),
    write: (text) => screen.write(printable(text)),
    note: (text) => screen.note(printable(text)),
    draw: (lines) => screen.draw(lines.map(printable)),
  };
}
