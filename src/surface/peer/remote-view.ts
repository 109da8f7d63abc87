import type { Screen, View } from "#src/command/define.ts";
import { InnerView } from "#src/command/inner-view.ts";
import type { Registry } from "#src/command/registry.ts";
import { printable } from "#src/surface/cli/printable.ts";

/**
 * Shows what another node's command says as this node's command of the same name would, with
 * everything that could steer a terminal made visible. What does not fit the command's declared result,
 * or belongs to a command unknown here, is shown as JSON: the other node may be of another version,
 * or lie.
 */
export function remoteView(screen: Screen, registry: Registry): View<unknown> {
  const inner = new InnerView(careful(screen), registry);
  return {
    event(event) {
      if (!inner.isChosen && event.type === "peer.met") {
        inner.choose(String(event["command"]));
        screen.note(`${printable(String(event["node"]))} answers`);
      } else inner.event(event);
    },
    result: (result) => inner.result(result),
  };
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
