import { expect, test } from "bun:test";
import { listingOf } from "./listing.ts";
import { fieldsOf, parseFields } from "./schema-fields.ts";

const fields = fieldsOf({
  type: "object",
  properties: {
    files: { type: "array", items: { type: "string" } },
    size: { type: "string", description: "model size" },
    steps: { type: "integer", minimum: 1, maximum: 2 ** 31 - 1 },
    learningRate: { type: "number", minimum: 0, maximum: 3e38 },
    style: { enum: ["gpt2", "llama"], type: "string" },
    recompute: { type: "boolean" },
    resume: { anyOf: [{ type: "boolean" }, { type: "string" }] },
    holdOut: { type: "integer", minimum: 1, maximum: 500 },
  },
  required: ["size"],
});

test("every parameter of the schema becomes a field of its kind", () => {
  expect(fields.map(({ name, kind }) => [name, kind])).toEqual([
    ["files", "lines"],
    ["size", "text"],
    ["steps", "integer"],
    ["learningRate", "number"],
    ["style", "choice"],
    ["recompute", "truth"],
    ["resume", "text"],
    ["holdOut", "integer"],
  ]);
  expect(fields.find(({ name }) => name === "learningRate")?.label).toBe("learning rate");
});

test("a filled-in form becomes parameters; what is empty is left to the node", () => {
  const texts = {
    ...{ files: " a.txt \n\n b.txt", size: "nano", steps: "200", learningRate: "1e-3" },
    ...{ style: "llama", recompute: "false", holdOut: "" },
  };
  expect(parseFields(fields, texts)).toEqual({
    parameters: {
      ...{ files: ["a.txt", "b.txt"], size: "nano", steps: 200, learningRate: 0.001 },
      ...{ style: "llama", recompute: false },
    },
    mistakes: {},
  });
});

test("what cannot be is said at its field", () => {
  const { mistakes } = parseFields(fields, { steps: "1.5", learningRate: "x", holdOut: "501" });
  expect(mistakes).toEqual({
    size: "is needed",
    steps: "must be a whole number",
    learningRate: "must be a number",
    holdOut: "must be at most 500",
  });
});

test("records become rows with values from inside them", () => {
  const answer = { issued: [{ grant: { id: "g1", capabilities: ["a", "b"] }, isLive: true }] };
  expect(
    listingOf(answer, "issued", ["grant.id", "grant.capabilities", "isLive", "no.such"]),
  ).toEqual({
    names: ["id", "capabilities", "is live", "such"],
    rows: [["g1", "a, b", "yes", "–"]],
  });
  expect(listingOf(answer, "held", ["id"])).toBeNull();
  expect(listingOf(null, "held", ["id"])).toBeNull();
});
