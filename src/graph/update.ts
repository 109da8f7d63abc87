/** Optimizers a plan can carry. Momentum with Nesterov is `momentum` with hyper.nesterov set. */
export const optimizerNames = ["sgd", "momentum", "adam", "adamw", "lars", "lamb"] as const;
export type OptimizerName = (typeof optimizerNames)[number];
