/** How a terminal shows a training run: what it will need, a live block while it goes, a summary. */
import type { Event, Screen, View } from "#src/command/define.ts";
import { Series, sparkline } from "./curve.ts";
import type { PlanEvent, StartedEvent, StepEvent, TrainEvent, TrainResult } from "./train-event.ts";
import type { EvaluationRecord } from "./trainer.ts";
import {
  bytesText,
  countText,
  percentText,
  quantityText,
  secondsText,
  wholeText,
} from "./wording.ts";

/** Lines printed in the whole run where nothing can be redrawn. */
const plainLines = 20;

export function trainView(screen: Screen): View<TrainResult> {
  return new TrainView(screen);
}

class TrainView implements View<TrainResult> {
  readonly #losses = new Series();
  #evaluation = "";
  #checkpoint = "no checkpoint yet";
  #speed = 0;
  #task = "text";
  #printedAt = 0;

  constructor(readonly screen: Screen) {}

  event(streamed: Event): void {
    const event = streamed as unknown as TrainEvent;
    const { screen } = this;
    switch (event.type) {
      case "data": {
        const { stage, doneBytes, totalBytes } = event;
        const percent = totalBytes > 0 ? ` ${Math.round((100 * doneBytes) / totalBytes)} %` : "";
        return screen.draw([`reading text: ${stage}${percent}`]);
      }
      case "plan":
        return this.#plan(event);
      case "started":
        return this.#started(event);
      case "planned":
        return screen.note(
          `time       allows ${event.steps} steps at ${countText(event.tokensPerSecond)} tokens/s`,
        );
      case "step":
        return this.#step(event);
      case "evaluation":
        return this.#evaluated(event);
      case "checkpoint":
        this.#checkpoint = `checkpoint at step ${event.step}`;
        return;
      case "checkpoint-failed":
        return screen.note(`checkpoint at step ${event.step} failed: ${event.message}`);
      case "restart":
        return screen.note(`the trainer died (${event.reason}); going on from the last checkpoint`);
      case "checkpoint-skipped":
        return;
    }
  }

  #plan(plan: PlanEvent): void {
    const { name, run, size, model, memory, parameters, flopsPerToken } = plan;
    const { steps, tokens, tokensPerStep, threads, expectedSeconds } = plan;
    this.#task = plan.task;
    const spaces = Object.entries(memory.spaces)
      .filter(([, bytes]) => bytes > 0)
      .map(([space, bytes]) => `${space} ${bytesText(bytes)}`);
    const note = (text: string) => this.screen.note(text);
    note(`run        ${name} (${run}), size ${size}`);
    const { style, layers, width, heads, contextLength, vocabularySize } = model;
    note(
      `model      ${style}: ${layers} layers, width ${width}, ${heads} heads, context ${contextLength}, vocabulary ${vocabularySize}: ${countText(parameters)} parameters`,
    );
    note(`memory     ${bytesText(memory.totalBytes)}: ${spaces.join(", ")}`);
    note(
      `checkpoint ${bytesText(memory.snapshotBytes)} on the disk, the same in memory while it is written`,
    );
    note(
      `compute    ${quantityText(flopsPerToken, "FLOP")} per token, ${wholeText(tokensPerStep)} tokens per step, ${threads} threads`,
    );
    if (steps === null || tokens === null) note("steps      as many as the time allows");
    else {
      const expected = expectedSeconds === null ? "" : `, about ${secondsText(expectedSeconds)}`;
      note(`steps      ${wholeText(steps)}, ${countText(tokens)} tokens${expected}`);
    }
  }

  #started({ backend, threads, peakFlops, step, resumed, fallBacks }: StartedEvent): void {
    const peak = peakFlops === null ? "" : `, peak ${quantityText(peakFlops, "FLOP/s")}`;
    this.screen.note(`backend    ${backend}, ${threads} threads${peak}`);
    for (const { rung, reason } of fallBacks) this.screen.note(`passed over ${rung}: ${reason}`);
    if (resumed) this.screen.note(`going on after step ${step}`);
  }

  #step(event: StepEvent): void {
    const { step, of, loss, gradientNorm, learningRate, tokensPerSecond } = event;
    const { percentOfPeak, etaSeconds } = event;
    this.#losses.add(loss);
    this.#speed = this.#speed === 0 ? tokensPerSecond : 0.9 * this.#speed + 0.1 * tokensPerSecond;
    const done = step / of;
    const progress = `step ${step}/${of}  loss ${loss.toFixed(4)}${this.#evaluation}`;
    // One step's time jumps about; people want to know how it goes on the whole.
    const calm = this.#speed / tokensPerSecond;
    const percent = percentOfPeak === null ? null : percentOfPeak * calm;
    const pace = `${countText(this.#speed)} tok/s  ${percentText(percent)} of peak`;
    const left = `${secondsText(etaSeconds / calm)} left`;
    if (!this.screen.live) {
      const mark = Math.floor(done * plainLines);
      if (mark > this.#printedAt || step === 1) this.screen.note(`${progress}  ${pace}  ${left}`);
      this.#printedAt = mark;
      if (step === of) this.screen.note("measuring the loss of everything held out");
      return;
    }
    const width = Math.max(10, Math.min(60, this.screen.columns - 26));
    const filled = Math.round(done * width);
    this.screen.draw([
      `${"━".repeat(filled)}${"─".repeat(width - filled)} ${(done * 100).toFixed(0)} %  ${left}`,
      progress,
      `loss ${sparkline(this.#losses.values, width - 5)}`,
      `${pace}  rate ${learningRate.toExponential(1)}  gradient ${gradientNorm.toFixed(2)}`,
      step === of ? "measuring the loss of everything held out" : this.#checkpoint,
    ]);
  }

  #evaluated({ step, loss, exactMatch }: EvaluationRecord): void {
    const match = this.#task === "addition" ? `, ${(exactMatch * 100).toFixed(1)} % right` : "";
    this.#evaluation = `  held out ${loss.toFixed(4)}${match} (step ${step})`;
  }

  result(result: TrainResult): void {
    const { name, steps, tokens, valLoss, bitsPerByte, exactMatch, digest, seconds } = result;
    const print = (text: string) => this.screen.print(text);
    if (result.type === "interrupted") {
      print(`stopped after step ${steps}; go on with: ${result.resume}`);
      return;
    }
    const speed = `${countText(result.tokensPerSecond)} tokens/s, ${percentText(result.percentOfPeak)} of peak`;
    print(
      `${name}: ${steps} steps, ${countText(tokens)} tokens in ${secondsText(seconds)} (${speed})`,
    );
    if (exactMatch !== undefined)
      print(`held-out problems right: ${(exactMatch * 100).toFixed(2)} %`);
    if (valLoss !== null) {
      const bits = bitsPerByte === undefined ? "" : `, ${bitsPerByte.toFixed(3)} bits per byte`;
      print(`held-out loss: ${valLoss.toFixed(4)}${bits}`);
    }
    print(`state digest: ${digest}`);
    if (result.resume)
      print(`time is up before all steps were taken; go on with: ${result.resume}`);
    this.screen.note(
      exactMatch === undefined
        ? `try it: psionic sample ${name} --prompt "…"`
        : `ask it: psionic chat ${name}`,
    );
  }
}
