/** How a terminal shows the demonstration: what is done to the nodes, and how the run goes on. */
import type { Event, Screen, View } from "#src/command/define.ts";
import { secondsText } from "#src/train/wording.ts";
import type { ChaosResult } from "./chaos.ts";
import type { DemoResult } from "./demonstration.ts";

const share = (value: number) =>
  `${(100 * value).toFixed(value >= 0.9995 || value === 0 ? 0 : 1)} %`;

export function demoView(screen: Screen): View<DemoResult | ChaosResult> {
  return new DemoView(screen);
}

class DemoView implements View<DemoResult | ChaosResult> {
  constructor(readonly screen: Screen) {}

  event(event: Event): void {
    const { screen } = this;
    const at = (name: string) => String(event[name]);
    switch (event.type) {
      case "demo":
        this.#title("nodes on this machine, each with a home and a key of its own, become a mesh");
        return screen.note(`their homes: ${at("folder")}`);
      case "node":
        return screen.note(
          `node ${at("number")}  ${at("id").slice(0, 11)}…${event["lies"] === true ? "  (it will lie about its work; nobody is told)" : ""}`,
        );
      case "page":
        return screen.note(`the page, to watch all of it: ${at("url")}`);
      case "run":
        return this.#title(
          `one exact run over all of them: the built-in task, ${at("slots")} steps of work`,
        );
      case "progress":
        return this.#progress(event);
      case "killed":
        return this.#title(
          event["isLeader"] === true
            ? `kill -9 ${at("pid")}: node ${at("number")}, which coordinates, is gone`
            : `kill -9 ${at("pid")}: node ${at("number")} is gone in the middle of its work`,
        );
      case "back":
        return screen.note(`node ${at("number")} is back, and takes part from the next window on`);
      case "handover":
        return screen.note(
          `node ${at("to")} coordinates, ${Number(event["seconds"]).toFixed(1)} s later`,
        );
      case "caught":
        return this.#title(
          `node ${at("number")} was caught lying: others recomputed its work and got other bits; it is out`,
        );
      case "fault":
        return this.#title(`${at("what")} (node ${at("number")})`);
      case "recovered":
        return screen.note(
          `work goes on after ${Number(event["seconds"]).toFixed(1)} s, node ${at("number")} is at work again after ${Number(event["backSeconds"]).toFixed(1)} s`,
        );
      case "trained":
        screen.draw([]);
        this.#title(`it can add: ${share(Number(event["exactMatch"]))} of held-out problems right`);
        return screen.note(`all nodes hold one revision, bit for bit: ${at("digest")}`);
      case "verified":
        return screen.note("its evidence was verified offline, by a home that never saw the mesh");
      default:
    }
  }

  #title(text: string): void {
    this.screen.draw([]);
    const marked = `== ${text}`;
    this.screen.note("");
    this.screen.note(this.screen.colour ? `\x1b[1m${marked}\x1b[0m` : marked);
  }

  #progress(event: Event): void {
    const done = Number(event["acceptedSlots"]) / Number(event["slots"]);
    const loss = event["loss"] === null ? "" : `, loss ${Number(event["loss"]).toFixed(3)}`;
    const right =
      event["exactMatch"] === null ? "" : `, ${share(Number(event["exactMatch"]))} right`;
    this.screen.draw([
      `window ${String(event["window"])}: ${share(done)} of the work accepted${loss}${right}`,
    ]);
  }

  result(result: DemoResult | ChaosResult): void {
    const { screen } = this;
    if (result.type === "chaos") return this.#chaos(result);
    const { exactMatch, nodes, killed, handovers, seconds, folder, bundle } = result;
    screen.print(
      `${share(exactMatch)} right with ${nodes} nodes, ${killed} killed, ${handovers} ${handovers === 1 ? "hand-over" : "hand-overs"} and a liar, in ${secondsText(seconds)}`,
    );
    this.#title("what to type next");
    const home = `--home ${folder}/node-1`;
    for (const [words, why] of [
      [`psionic chat demo ${home}`, "ask the model"],
      [`psionic run windows demo ${home}`, "who did what, window by window"],
      [`psionic verify ${bundle}`, "the proof once more"],
      ["psionic up", "a node of your own; it prints the line by which others join"],
    ] as const)
      screen.note(`  ${words}\n      ${why}`);
  }

  #chaos({ keptShare, faults, recoverySeconds, medianRecoverySeconds, lost }: ChaosResult): void {
    this.screen.print(
      `${share(keptShare)} of the undisturbed throughput kept under ${faults} faults; recovery ${medianRecoverySeconds.toFixed(1)} s median, ${Math.max(0, ...recoverySeconds).toFixed(1)} s at most; ${lost} slices lost or doubled`,
    );
  }
}
