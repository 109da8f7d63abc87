import { expect, test } from "bun:test";
import * as v from "valibot";
import { AdditionDataset } from "#src/dataset/addition.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { stepsWithin } from "./pace.ts";
import { additionRecipe } from "./recipes.ts";
import { runManifestSchema } from "./run-manifest.ts";
import { manifestOf } from "./run-request.ts";
import { trainParameters } from "./train-parameters.ts";

/** Every number that `train` takes, at the ends of what its schema lets through. */
const extremes = Object.keys(trainParameters.entries).flatMap((key) =>
  [0, 1, 1.5, 2 ** 20, 2 ** 31 - 1, Number.MAX_SAFE_INTEGER, 1e300, Number.MAX_VALUE]
    .filter((value) => v.is(trainParameters, { [key]: value }))
    .map((value) => [key, value] as const),
);

test("T-4 whatever numbers train lets through make a manifest that can be read again, or a refusal", () => {
  const dataset = new AdditionDataset(additionRecipe.digitCount);
  expect(extremes.length).toBeGreaterThan(40);
  for (const [key, value] of extremes) {
    try {
      const manifest = manifestOf(v.parse(trainParameters, { [key]: value }), dataset);
      expect({ key, value, isReadable: v.is(runManifestSchema, manifest) }).toMatchObject({
        isReadable: true,
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
});

test("T-4 a time budget without end gives a number of steps that can be counted", () => {
  expect(stepsWithin({ stepMs: 1e-3, sampleMs: 0, fullMs: 0 }, 1e300, 0)).toBe(2 ** 31 - 1);
});

test("T-4 a step whose batch no memory should hold is refused before anything is planned", () => {
  const dataset = new AdditionDataset(additionRecipe.digitCount);
  const request = v.parse(trainParameters, { microBatches: 2 ** 31 - 1 });
  expect(() => manifestOf(request, dataset)).toThrow("One step would read");
});
