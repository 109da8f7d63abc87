import type { Screen } from "#src/command/define.ts";
import { countText } from "#src/train/wording.ts";
import { eventLines, statusLines, tokensWord } from "./mesh-views.ts";
import type { Sight } from "./description-result.ts";

/** Events shown below a run that is watched. */
const eventCount = 6;

/** Shows a run while it is watched: drawn in place at a terminal, else a line for each window. */
export function watchView(screen: Screen): (sight: Sight) => void {
  let last = "";
  return (sight) => {
    const lines = linesOf(sight);
    if (screen.live) return screen.draw(lines.map((line) => line.slice(0, screen.columns)));
    const { mesh, state, step } = sight;
    const stamp = mesh === null ? `${state} ${step}` : `${mesh.phase} ${mesh.windowCount}`;
    const tokens = lines.filter((line) => line.startsWith(tokensWord));
    if (stamp !== last) for (const line of [lines[0] ?? "", ...tokens]) screen.note(line);
    last = stamp;
  };
}

function linesOf({ name, run, state, step, steps, loss, tokensPerSecond, mesh }: Sight): string[] {
  if (mesh !== null) return [...statusLines(mesh), ...eventLines(mesh.events, eventCount)];
  const rate = tokensPerSecond === null ? "" : `, ${countText(tokensPerSecond)} tokens/s`;
  const shown = loss === null ? "" : `, loss ${loss.toFixed(4)}`;
  return [`${name} (${run}): ${state}, step ${step} of ${steps}${shown}${rate}`];
}
