/** Parameters that several commands take, said once. Kept light, for help needs them. */
import * as v from "valibot";
import { isaNames } from "./isa.ts";

export const runParameter = v.optional(
  v.pipe(v.string(), v.description("latest, a name, or a prefix")),
  "latest",
);

export const stepParameter = v.optional(
  v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(0),
    v.description("the checkpoint after this step; by default the newest"),
  ),
);

/** `byDefault` completes the sentence "by default …". */
export const threadsParameter = (byDefault: string) =>
  v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(256),
      v.description(`threads to compute with; by default ${byDefault}`),
    ),
  );

export const isaParameter = v.optional(
  v.pipe(
    v.picklist(isaNames),
    v.description(
      "kernel lane; by default the best. baseline and reference are for checking and very slow",
    ),
  ),
);

/** How a token is chosen; `topP` is what a command takes for it by default. */
export const samplingParameters = (topP: number) => ({
  temperature: v.optional(
    v.pipe(
      v.number(),
      v.minValue(0),
      v.maxValue(100),
      v.description("how freely to choose; 0 takes the likeliest token"),
    ),
    0.8,
  ),
  topK: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.description("only so many of the likeliest tokens; 0 for all"),
    ),
    0,
  ),
  topP: v.optional(
    v.pipe(
      v.number(),
      v.gtValue(0),
      v.maxValue(1),
      v.description("only the likeliest tokens that together reach this probability"),
    ),
    topP,
  ),
  seed: v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.description("decides every draw")),
    0,
  ),
});
