/**
 * Optimizer settings and the `hyper` vectors the optimizer kernels read (docs/NUMERICS.md §9):
 * all scalars are worked out on the host in float64, with powers as repeated products, and rounded
 * to float32 once.
 *
 * Sources: SGD with momentum and Nesterov as PyTorch states them (Sutskever et al. 2013, without
 * dampening); Adam, Kingma & Ba 2015; AdamW, Loshchilov & Hutter 2019; LARS, You et al. 2017;
 * LAMB, You et al. 2020.
 */
import * as v from "valibot";
import { hyper } from "#src/kernel/contract.ts";
import { optimizerNames, type OptimizerName } from "#src/graph/update.ts";

const nonNegative = v.pipe(v.number(), v.finite(), v.minValue(0));
const belowOne = v.pipe(v.number(), v.minValue(0), v.ltValue(1));

export const optimizerSchema = v.strictObject({
  kind: v.picklist(optimizerNames),
  /** First moment's decay; the velocity's for momentum and LARS. */
  beta1: belowOne,
  beta2: belowOne,
  epsilon: nonNegative,
  /** Decoupled for adamw, inside the trust ratio for lars and lamb, added to the gradient otherwise. */
  weightDecay: nonNegative,
  nesterov: v.boolean(),
  /** LARS's trust coefficient η. */
  trust: nonNegative,
  /** Largest global gradient norm; 0 turns clipping off. */
  clipNorm: nonNegative,
});

export type Optimizer = v.InferOutput<typeof optimizerSchema>;

/** The usual settings of each kind; a recipe replaces what it knows better. */
export function optimizerDefaults(kind: OptimizerName): Optimizer {
  const common = { kind, epsilon: 1e-8, nesterov: false, trust: 0.001, clipNorm: 1 } as const;
  switch (kind) {
    case "sgd":
      return { ...common, beta1: 0, beta2: 0, weightDecay: 0 };
    case "momentum":
      return { ...common, beta1: 0.9, beta2: 0, weightDecay: 0 };
    case "lars":
      return { ...common, beta1: 0.9, beta2: 0, weightDecay: 1e-4 };
    case "adam":
      return { ...common, beta1: 0.9, beta2: 0.999, weightDecay: 0 };
    case "lamb":
      return { ...common, epsilon: 1e-6, beta1: 0.9, beta2: 0.999, weightDecay: 0.01 };
    case "adamw":
      return { ...common, beta1: 0.9, beta2: 0.99, weightDecay: 0.1 };
  }
}

/** The power of a base as a product taken one factor at a time; remembers where it is. */
export class RepeatedPower {
  #exponent = 0;
  #value = 1;
  constructor(readonly base: number) {}

  /** base^exponent; cheap when exponents come in ascending order. */
  at(exponent: number): number {
    if (exponent < this.#exponent) {
      this.#exponent = 0;
      this.#value = 1;
    }
    for (; this.#exponent < exponent; this.#exponent++) this.#value *= this.base;
    return this.#value;
  }
}

/** Makes the hyper vector of every step; one per run. */
export class HyperVectors {
  readonly #power1: RepeatedPower;
  readonly #power2: RepeatedPower;
  constructor(readonly optimizer: Optimizer) {
    this.#power1 = new RepeatedPower(optimizer.beta1);
    this.#power2 = new RepeatedPower(optimizer.beta2);
  }

  /**
   * The vector for a zero-based step (the published formulas' t is step + 1) at a learning rate.
   * `decays` says whether the parameter group is subject to weight decay (matrices are; norms and
   * biases are not).
   */
  at(step: number, rate: number, decays: boolean): Float32Array {
    const { kind, beta1, beta2, epsilon, weightDecay, nesterov, trust } = this.optimizer;
    const adaptive = kind === "adam" || kind === "adamw";
    const decay = decays ? weightDecay : 0;
    const remaining1 = 1 - this.#power1.at(step + 1);
    const remaining2 = 1 - this.#power2.at(step + 1);
    const vector = new Float32Array(hyper.length);
    vector[hyper.stepSize] = adaptive ? rate / remaining1 : rate;
    vector[hyper.beta1] = beta1;
    vector[hyper.oneMinusBeta1] = 1 - beta1;
    vector[hyper.beta2] = beta2;
    vector[hyper.oneMinusBeta2] = 1 - beta2;
    vector[hyper.inverseRootCorrection2] = 1 / Math.sqrt(remaining2);
    vector[hyper.epsilon] = epsilon;
    vector[hyper.decayFactor] = kind === "adamw" ? 1 - rate * decay : 1;
    vector[hyper.l2] = kind === "adamw" || kind === "lamb" ? 0 : decay;
    vector[hyper.nesterov] = nesterov ? 1 : 0;
    vector[hyper.trust] = trust;
    vector[hyper.weightDecay] = kind === "lars" || kind === "lamb" ? decay : 0;
    vector[hyper.inverseCorrection1] = 1 / remaining1;
    return vector;
  }
}
