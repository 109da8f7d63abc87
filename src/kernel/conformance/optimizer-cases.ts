import { blockLength, hyper } from "#src/kernel/contract.ts";
import { type CaseBuilder, vector } from "./case-builder.ts";
import { boundedKinds, type Kind } from "./draw.ts";
import type { CaseDrawer } from "./layer-cases.ts";

const gradientKinds: readonly Kind[] = [...boundedKinds, "floor"];
const momentKinds: readonly Kind[] = ["ordinary", "tiny", "floor", "bounded"];

const drawCount = (builder: CaseBuilder): number =>
  builder.seed % 8 === 2 ? 3 * blockLength + builder.draw.below(3) - 1 : builder.draw.size(8193);

function drawHyper(builder: CaseBuilder): void {
  const { draw } = builder;
  const values = new Float32Array(hyper.length);
  const step = 1 + draw.below(30);
  const [beta1, beta2] = [draw.pick([0, 0.5, 0.9]), draw.pick([0.95, 0.999])];
  values[hyper.stepSize] = draw.pick([1e-3, 0.1, 3e-4, 0]);
  values[hyper.beta1] = beta1;
  values[hyper.oneMinusBeta1] = 1 - beta1;
  values[hyper.beta2] = beta2;
  values[hyper.oneMinusBeta2] = 1 - beta2;
  values[hyper.inverseRootCorrection2] = 1 / Math.sqrt(1 - beta2 ** step);
  values[hyper.epsilon] = draw.pick([1e-8, 1e-6, 1e-3]);
  values[hyper.decayFactor] = draw.pick([1, 1 - 1e-4, 0.5]);
  values[hyper.l2] = draw.pick([0, 0, 0.01]);
  values[hyper.nesterov] = draw.flag();
  values[hyper.trust] = draw.pick([1e-3, 0.02]);
  values[hyper.weightDecay] = draw.pick([0, 0.01, 0.1]);
  values[hyper.inverseCorrection1] = 1 / (1 - beta1 ** step);
  builder.given("hyper", values);
}

/** clip_scale's out: the norm is not read, the scale is. */
function drawClip(builder: CaseBuilder): void {
  if (builder.draw.flag()) builder.given("clip", [3, builder.draw.pick([1, 0.125, 0.3])]);
}

function drawPartials(builder: CaseBuilder, count: number): void {
  const blocks = vector(Math.ceil(count / blockLength));
  builder.output("parameterPartial", blocks);
  builder.output("updatePartial", blocks);
}

export const clipScaleCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.magnitudes("sumSquares", vector(1), ["ordinary", "tiny", "huge", "halves"]);
  builder.output("out", vector(2));
  builder.integers({});
  builder.numbers({ maximum: draw.pick([0, -1, 1, 0.5, 1e-3, 1e9]) });
};

export const sgdCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const count = drawCount(builder);
  builder.floats("parameter", vector(count), boundedKinds);
  builder.floats("gradient", vector(count), gradientKinds);
  if (draw.chance(2, 3)) builder.floats("velocity", vector(count), momentKinds);
  drawHyper(builder);
  drawClip(builder);
  if (draw.flag()) builder.given("ratio", [draw.pick([1, 0.02, 1.7])]);
  drawPartials(builder, count);
  builder.integers({ count });
};

export const adamCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = drawCount(builder);
  builder.floats("parameter", vector(count), boundedKinds);
  builder.floats("gradient", vector(count), gradientKinds);
  builder.floats("first", vector(count), momentKinds);
  builder.magnitudes("second", vector(count), momentKinds);
  drawHyper(builder);
  drawClip(builder);
  drawPartials(builder, count);
  builder.integers({ count });
};

export const lambDirectionCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = drawCount(builder);
  builder.floats("parameter", vector(count), boundedKinds);
  builder.floats("gradient", vector(count), gradientKinds);
  builder.floats("first", vector(count), momentKinds);
  builder.magnitudes("second", vector(count), momentKinds);
  drawHyper(builder);
  drawClip(builder);
  builder.output("direction", vector(count));
  builder.integers({ count });
};

export const applyDirectionCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = drawCount(builder);
  builder.floats("parameter", vector(count), boundedKinds);
  builder.floats("direction", vector(count), boundedKinds);
  drawHyper(builder);
  builder.given("ratio", [builder.draw.pick([1, 0.02, 1.7])]);
  drawPartials(builder, count);
  builder.integers({ count });
};

export const trustRatioCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  const kinds: readonly Kind[] = ["ordinary", "tiny", "halves", "bounded"];
  builder.magnitudes("parameterSquares", vector(1), kinds);
  builder.magnitudes("updateSquares", vector(1), kinds);
  drawHyper(builder);
  drawClip(builder);
  builder.output("out", vector(1));
  builder.integers({ mode: draw.flag() });
};
