import { expect, test } from "bun:test";
import type { Screen } from "#src/command/define.ts";
import type { StepEvent } from "./train-event.ts";
import { trainView } from "./train-view.ts";

function screenOf(live: boolean) {
  const said = { out: [] as string[], notes: [] as string[], drawn: [] as (readonly string[])[] };
  const screen: Screen = {
    columns: 80,
    live,
    colour: false,
    print: (text) => said.out.push(text),
    write: (text) => said.out.push(text),
    note: (text) => said.notes.push(text),
    draw: (lines) => said.drawn.push(lines),
  };
  return { screen, said };
}

const step = (number: number, of: number): StepEvent => ({
  type: "step",
  step: number,
  of,
  loss: 5 - number / of,
  gradientNorm: 1.5,
  parameterNorm: 30,
  updateNorm: 0.1,
  learningRate: 0.002,
  tokens: 2048,
  lossBits: "40a00000",
  gradientNormBits: "3fc00000",
  tokensPerSecond: 61_234,
  percentOfPeak: 61.2,
  etaSeconds: 3_725,
});
const evaluation = {
  type: "evaluation",
  step: 5,
  loss: 1.6471,
  bitsPerByte: 2.37,
  exactMatch: 0.5,
  targets: 10,
  rows: 2,
  full: false,
};
const feed = (view: ReturnType<typeof trainView>, event: object) => view.event!(event as never);

test("T-6 the live block has step, loss, held-out loss, speed, share of peak, time left and a curve, in 80 columns", () => {
  const { screen, said } = screenOf(true);
  const view = trainView(screen);
  for (let number = 1; number <= 40; number++) {
    feed(view, step(number, 40_000));
    if (number === 20) feed(view, evaluation);
  }
  const lines = said.drawn.at(-1)!;
  const block = lines.join("\n");
  for (const part of [
    "step 40/40000",
    "loss 4.9990",
    "held out 1.6471",
    "61.2k tok/s",
    "61 % of peak",
    "1 h 2 min left",
    "█",
  ])
    expect(block).toContain(part);
  for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThan(80);
  expect(said.notes).toEqual([]);
});

test("T-6 where nothing can be redrawn some twenty lines tell of the whole run", () => {
  const { screen, said } = screenOf(false);
  const view = trainView(screen);
  for (let number = 1; number <= 1_000; number++) feed(view, step(number, 1_000));
  expect(said.notes.length).toBeWithin(18, 24);
  expect(said.drawn).toEqual([]);
});

const result = {
  run: "abcd1234",
  name: "book",
  steps: 10,
  tokens: 20_480,
  loss: 1.5,
  valLoss: 1.6,
  digest: "d".repeat(64),
  tokensPerSecond: 60_000,
  percentOfPeak: 61,
  seconds: 75,
};

test("T-6 the end says the figures; a stopped run says how to go on", () => {
  const { screen, said } = screenOf(false);
  trainView(screen).result!({ ...result, type: "done", bitsPerByte: 2.31 });
  const text = said.out.join("\n");
  for (const part of [
    "10 steps",
    "1 min 15 s",
    "held-out loss: 1.6000, 2.310 bits per byte",
    "d".repeat(64),
  ])
    expect(text).toContain(part);
  const stopped = screenOf(false);
  trainView(stopped.screen).result!({
    ...result,
    type: "interrupted",
    resume: "psionic train --resume book",
  });
  expect(stopped.said.out).toEqual([
    "stopped after step 10; go on with: psionic train --resume book",
  ]);
});
