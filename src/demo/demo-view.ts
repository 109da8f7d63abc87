/** How a terminal shows the demonstration: training as `train` shows it, with what is done to it. */
import type { Event, Screen, View } from "#src/command/define.ts";
import { Series, sparkline } from "#src/train/curve.ts";
import type { StepEvent } from "#src/train/train-event.ts";
import { trainView } from "#src/train/train-view.ts";
import { secondsText } from "#src/train/wording.ts";
import type { DemoResult } from "./demonstration.ts";
import type { Answered } from "./questions.ts";
import type { Kill } from "./sabotage.ts";

export function demoView(screen: Screen): View<DemoResult> {
  return new DemoView(screen);
}

class DemoView implements View<DemoResult> {
  readonly #training: View<never>;
  readonly #losses = new Series();
  #hasAnswered = false;

  constructor(readonly screen: Screen) {
    this.#training = trainView(screen);
  }

  event(event: Event): void {
    switch (event.type) {
      case "demo":
        return this.#title(
          `a model learns to add, from nothing, in the run ${String(event["name"])}`,
        );
      case "killed":
        return this.#killed(event as unknown as Kill);
      case "recomputed":
        return this.screen.note(
          `steps ${String(event["from"])}..${String(event["to"])} were computed a second time, by another process: the same bits`,
        );
      case "trained":
        return this.#trained(event as unknown as { exactMatch: number; digest: string });
      case "replaying":
        return this.#title("the same run once more, undisturbed, to compare every bit");
      case "replayed":
        return this.screen.draw([`step ${String(event["step"])}/${String(event["of"])} agrees`]);
      case "verified":
        this.screen.draw([]);
        return this.screen.note(
          `all ${String(event["steps"])} steps agree: the killed run ended where the undisturbed one ends`,
        );
      case "answer":
        return this.#answer(event as unknown as Answered);
      case "step":
        this.#losses.add((event as unknown as StepEvent).loss);
        return this.#training.event?.(event);
      default:
        return this.#training.event?.(event);
    }
  }

  #title(text: string): void {
    const marked = `== ${text}`;
    this.screen.note("");
    this.screen.note(this.screen.colour ? `\x1b[1m${marked}\x1b[0m` : marked);
  }

  #killed({ pid, step, checkpointStep }: Kill): void {
    this.#title(`kill -9 ${pid}: the trainer process dies after step ${step}, unasked`);
    this.screen.note(
      `the last checkpoint is of step ${checkpointStep}; what came after it is lost`,
    );
  }

  #trained({ exactMatch, digest }: { exactMatch: number; digest: string }): void {
    this.screen.draw([]);
    this.#title(
      `it can add: ${(exactMatch * 100).toFixed(2)} % of the held-out problems are right`,
    );
    const { values } = this.#losses;
    const curve = sparkline(values, Math.max(10, Math.min(60, this.screen.columns - 24)));
    this.screen.note(`loss ${values[0]?.toFixed(2)} ${curve} ${values.at(-1)?.toFixed(2)}`);
    this.screen.note(`state digest ${digest}`);
  }

  #answer({ question, answer, right, heldOut }: Answered): void {
    if (!this.#hasAnswered) this.#title("questions");
    this.#hasAnswered = true;
    const remark = right ? (heldOut ? "right, never seen in training" : "right") : "wrong";
    this.screen.print(`${question} = ${answer}   (${remark})`);
  }

  result({ name, directory, seconds, verified, exactMatch, resumedFromStep }: DemoResult): void {
    this.screen.print(
      `${(exactMatch * 100).toFixed(2)} % right after a kill -9 and a restart from step ${resumedFromStep}, in ${secondsText(seconds)}`,
    );
    this.#title("what to type next");
    const next = [
      [`psionic chat ${name}`, "ask it yourself"],
      ["psionic train book.txt", "a model of your own text"],
      verified
        ? [`psionic digest ${name}`, "the digest, from the files"]
        : [`psionic replay ${name}`, "compute the run again, undisturbed, and compare every bit"],
      [`psionic export ${name} --out addition`, "the model as files other programs load"],
    ];
    const width = Math.max(...next.map(([words]) => words!.length));
    for (const [words, why] of next) this.screen.note(`  ${words!.padEnd(width)}  ${why}`);
    this.screen.note(`  everything lies in ${directory}`);
  }
}
