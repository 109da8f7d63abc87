import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { add } from "./add.ts";
import { allocateActivations, dropDeadCalls, lifetimesOf, peakLiveBytes } from "./allocate.ts";
import { assemble, type Assembled } from "./assemble.ts";
import { attention } from "./attention.ts";
import { Differentiation } from "./differentiate.ts";
import { DoubleProgram } from "./doubles.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { gelu } from "./gelu.ts";
import { Graph, ShapeError } from "./graph.ts";
import type { Value } from "./node.ts";
import { headLoss } from "./head.ts";
import { layernorm } from "./layernorm.ts";
import { linear } from "./matmul.ts";
import { layOutParameters, trainedStorage, type ParameterDeclaration } from "./parameters.ts";
import { Recorder } from "./recorder.ts";
import { rmsnorm } from "./rmsnorm.ts";
import { rope } from "./rope.ts";
import { FixedSpace } from "./space.ts";
import { swiglu } from "./swiglu.ts";
import { alignmentBytes, elementBytes } from "./tensor.ts";
import { verifyMemory } from "./verify.ts";

/** A graph of free-standing values for shape rules. */
function bench() {
  const graph = new Graph(true);
  const space = new FixedSpace("inputs");
  const value = (rows: number, columns: number, type: "f32" | "i32" = "f32"): Value =>
    graph.fixed(`${rows}x${columns}`, space.add("value", [rows, columns], type));
  const made = (rows: number, columns: number): Value =>
    add(graph, value(rows, columns), value(rows, columns));
  return { graph, value, made };
}

describe("T-2 shape rules refuse what does not fit", () => {
  const { graph, value, made } = bench();
  const cases: Record<string, () => unknown> = {
    "linear with other inputs": () => linear(graph, value(4, 6), value(8, 5)),
    "linear with a long bias": () => linear(graph, value(4, 6), value(8, 6), { bias: value(1, 9) }),
    "linear with another residual": () =>
      linear(graph, value(4, 6), value(8, 6), { residual: value(4, 6) }),
    "layernorm with a short gain": () => layernorm(graph, value(4, 6), value(1, 5), null, 1e-5),
    "rmsnorm over broken heads": () => rmsnorm(graph, value(4, 10), value(1, 4), 1e-5),
    "rope over broken heads": () =>
      rope(graph, made(4, 10), { headSize: 4, sequenceLength: 4, table: value(4, 4) }),
    "rope beyond its table": () =>
      rope(graph, made(5, 8), { headSize: 4, sequenceLength: 5, table: value(4, 4) }),
    "rope of a value others read": () => {
      const x = made(4, 8);
      linear(graph, x, value(3, 8));
      return rope(graph, x, { headSize: 4, sequenceLength: 4, table: value(4, 4) });
    },
    "attention with odd groups": () =>
      attention(graph, value(4, 12), value(4, 8), value(4, 8), {
        heads: 3,
        groups: 2,
        headSize: 4,
        batchSize: 1,
      }),
    "attention over part of a sequence": () =>
      attention(graph, value(5, 8), value(5, 8), value(5, 8), {
        heads: 2,
        groups: 2,
        headSize: 4,
        batchSize: 2,
      }),
    "attention with fewer queries": () =>
      attention(graph, value(2, 8), value(4, 8), value(4, 8), {
        heads: 2,
        groups: 2,
        headSize: 4,
        batchSize: 1,
      }),
    "swiglu of an odd width": () => swiglu(graph, value(4, 7)),
    "add of two shapes": () => add(graph, value(4, 6), value(4, 7)),
    "dropout of everything": () =>
      dropout(graph, value(4, 6), { rate: 1, state: value(1, 4, "i32"), purpose: 1 }),
    "gelu of a column view": () => gelu(graph, graph.slice(value(4, 6), 0, 3)),
    "embedding of floats": () => embedding(graph, value(1, 4), value(9, 6), { sequenceLength: 4 }),
    "embedding of part of a sequence": () =>
      embedding(graph, value(1, 5, "i32"), value(9, 6), { sequenceLength: 4 }),
    "embedding with few positions": () =>
      embedding(graph, value(1, 4, "i32"), value(9, 6), {
        sequenceLength: 4,
        positions: value(3, 6),
      }),
    "a head with few targets": () =>
      headLoss(graph, value(4, 6), value(9, 6), {
        targets: value(1, 3, "i32"),
        losses: value(1, 4),
        lossScale: value(1, 1),
      }),
    "a head without a loss scale": () =>
      headLoss(graph, value(4, 6), value(9, 6), {
        targets: value(1, 4, "i32"),
        losses: value(1, 4),
      }),
    "a slice beyond its parent": () => graph.slice(value(4, 6), 4, 3),
    "overlapping slices": () => {
      const x = value(4, 6);
      graph.slice(x, 0, 4);
      return graph.slice(x, 3, 3);
    },
  };
  for (const [name, build] of Object.entries(cases)) {
    test(name, () => expect(build).toThrow(ShapeError));
  }
});

const normal = { kind: "normal", deviation: 0.3 } as const;
const matrix = (name: string, rows: number, columns: number): ParameterDeclaration => ({
  name,
  shape: [rows, columns],
  kind: "matrix",
  initial: normal,
});

interface Built {
  readonly x: Value;
  readonly weight: (name: string) => Value;
  readonly graph: Graph;
}

/** A gradient plan of a graph over rows×width inputs taken from the token table, ending in a head. */
function compileGraph(
  width: number,
  declarations: readonly ParameterDeclaration[],
  build: (built: Built) => Value,
): Assembled {
  const rows = 4;
  const parameters = layOutParameters([
    matrix("table", 7, width),
    matrix("head", 7, width),
    ...declarations,
  ]);
  const inputs = new FixedSpace("inputs");
  const graph = new Graph(true);
  const values = new Map(
    parameters.list.map((parameter) => [parameter.name, graph.parameter(parameter)]),
  );
  const weight = (name: string): Value => values.get(name)!;
  const tokens = graph.fixed("tokens", inputs.add("tokens", [rows], "i32"));
  const targets = graph.fixed("targets", inputs.add("targets", [rows], "i32"));
  const x = embedding(graph, tokens, weight("table"), { sequenceLength: rows });
  headLoss(graph, build({ x, weight, graph }), weight("head"), {
    targets,
    lossScale: graph.fixed("lossScale", inputs.add("lossScale", [1])),
    losses: graph.fixed("losses", inputs.add("losses", [rows])),
  });
  const recorder = new Recorder("gradient");
  const gradients = trainedStorage("gradients", parameters);
  new Differentiation(recorder, { gradients, accumulate: false, recompute: false }).differentiate(
    graph,
  );
  return assemble({
    recorders: [recorder],
    spaces: [
      { name: "parameters", sizeBytes: parameters.elements * elementBytes },
      { name: "gradients", sizeBytes: parameters.trainedElements * elementBytes },
      { name: "inputs", sizeBytes: inputs.sizeBytes },
    ],
    parameters,
    inputs: inputs.tensors,
    constants: [],
  });
}

/** Every parameter's gradient along a fixed direction, by differentiation and by differences. */
function compareGradients(assembled: Assembled): void {
  verifyMemory(assembled);
  const { plan } = assembled;
  const program = new DoubleProgram(plan);
  program.words(program.input("tokens")).set([0, 3, 3, 6]);
  program.words(program.input("targets")).set([1, -1, 2, 2]);
  program.floats(program.input("lossScale")).set([1]);
  for (const parameter of plan.parameters) {
    const values = program.floats(parameter);
    for (let index = 0; index < values.length; index++) {
      values[index] = 0.5 * Math.sin(index * 1.7 + parameter.offsetBytes);
    }
  }
  const loss = (): number => {
    program.run("gradient");
    return program.floats(program.input("losses")).reduce((sum, value) => sum + value, 0);
  };
  loss();
  const gradients = plan.parameters.map((parameter) =>
    program.floats({ ...parameter, space: "gradients" }).slice(),
  );
  for (const [index, parameter] of plan.parameters.entries()) {
    const values = program.floats(parameter);
    const original = values.slice();
    const direction = original.map((_, element) => Math.cos(element * 2.3 + index));
    const expected = direction.reduce(
      (sum, value, element) => sum + value * gradients[index]![element]!,
      0,
    );
    const at = (distance: number): number => {
      values.set(original.map((value, element) => value + distance * direction[element]!));
      return loss();
    };
    // Five points: the error falls with the fourth power of the step.
    const step = 1e-4;
    const near = at(step) - at(-step);
    const far = at(2 * step) - at(-2 * step);
    const found = (8 * near - far) / (12 * step);
    values.set(original);
    if (Math.abs(found - expected) > 1e-6 * (1 + Math.abs(expected))) {
      throw new Error(`${parameter.name}: ${expected} by differentiation, ${found} by differences`);
    }
  }
}

describe("T-2 differentiation of unusual graphs agrees with differences", () => {
  test("a value read three times adds its contributions", () => {
    compareGradients(
      compileGraph(6, [matrix("a", 6, 6), matrix("b", 6, 6)], ({ x, weight, graph }) => {
        const one = linear(graph, x, weight("a"), { residual: x });
        return add(graph, linear(graph, one, weight("b"), { residual: one }), x);
      }),
    );
  });

  test("a weight used twice adds both of its gradients", () => {
    compareGradients(
      compileGraph(6, [matrix("a", 6, 6)], ({ x, weight, graph }) =>
        linear(graph, linear(graph, x, weight("a")), weight("a")),
      ),
    );
  });

  test("GELU that no matrix product follows, and GELU of its own", () => {
    compareGradients(
      compileGraph(6, [matrix("a", 6, 6)], ({ x, weight, graph }) =>
        add(graph, gelu(graph, x), linear(graph, x, weight("a"), { gelu: true })),
      ),
    );
  });

  test("a fused GELU with two readers", () => {
    compareGradients(
      compileGraph(6, [matrix("a", 6, 6), matrix("b", 6, 6)], ({ x, weight, graph }) => {
        const hidden = linear(graph, x, weight("a"), { gelu: true });
        return linear(graph, hidden, weight("b"), { residual: hidden });
      }),
    );
  });

  test("column views of which one is never read", () => {
    compareGradients(
      compileGraph(6, [matrix("a", 18, 6)], ({ x, weight, graph }) => {
        const wide = linear(graph, x, weight("a"));
        return add(graph, graph.slice(wide, 0, 6), graph.slice(wide, 12, 6));
      }),
    );
  });
});

test("T-2 no gradient flows through detach", () => {
  const build = (detached: boolean) =>
    compileGraph(6, [matrix("a", 6, 6)], ({ x, weight, graph }) =>
      linear(graph, detached ? graph.detach(x) : x, weight("a")),
    );
  const operationsOf = ({ plan }: Assembled): string[] =>
    plan.calls.map(({ operation }) => operation);
  expect(operationsOf(build(false))).toContain("embedding_backward");
  expect(operationsOf(build(true))).not.toContain("embedding_backward");
  // The product's own weight still learns: one product forward, one for its weight.
  expect(operationsOf(build(true)).filter((name) => name === "matmul")).toHaveLength(2);
});

/** Random chains of in-place, view and residual operations of random sizes. */
const steps = fc.array(fc.constantFrom("mlp", "glu", "norm", "add", "twice", "views"), {
  minLength: 1,
  maxLength: 12,
});

test("T-2 in random graphs live tensors never share memory and gradients are right", () => {
  fc.assert(
    fc.property(steps, fc.constantFrom(4, 6, 8), fc.constantFrom(3, 10), (kinds, width, hidden) => {
      const declarations = kinds.flatMap((kind, index) => [
        matrix(
          `${index}.in`,
          kind === "glu" ? 2 * hidden : kind === "views" ? 2 * width : hidden,
          width,
        ),
        matrix(`${index}.out`, width, hidden),
        { name: `${index}.gain`, shape: [width], kind: "vector", initial: normal } as const,
      ]);
      const assembled = compileGraph(width, declarations, ({ x: first, weight, graph }) => {
        let x = first;
        const older: Value[] = [first];
        for (const [index, kind] of kinds.entries()) {
          const input = () => weight(`${index}.in`);
          const output = () => weight(`${index}.out`);
          if (kind === "mlp")
            x = linear(graph, linear(graph, x, input(), { gelu: true }), output(), { residual: x });
          if (kind === "glu")
            x = linear(graph, swiglu(graph, linear(graph, x, input())), output(), { residual: x });
          if (kind === "norm") x = rmsnorm(graph, x, weight(`${index}.gain`), 1e-3);
          if (kind === "add") x = add(graph, x, older[index % older.length]!);
          if (kind === "twice")
            x = add(graph, x, layernorm(graph, x, weight(`${index}.gain`), null, 1e-3));
          if (kind === "views") {
            const wide = linear(graph, x, input());
            x = add(graph, graph.slice(wide, 0, width), graph.slice(wide, width, width));
          }
          older.push(x);
        }
        return rmsnorm(graph, x, weight("0.gain"), 1e-3);
      });
      compareGradients(assembled);
    }),
    { numRuns: 60 },
  );
});

test("T-2 random lifetimes are packed without overlap, aligned, and close to the peak", () => {
  const tensors = fc.array(
    fc.record({
      first: fc.nat(40),
      length: fc.nat(12),
      elements: fc.integer({ min: 1, max: 4_000 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(tensors, (list) => {
      const recorder = new Recorder("gradient");
      const made = list.map(({ elements }, index) => recorder.activation(`${index}`, 1, elements));
      for (let time = 0; time < 54; time++) {
        for (const [index, { first, length, elements }] of list.entries()) {
          if (time !== first && time !== first + length) continue;
          recorder.emit("fill", { out: made[index]! }, { count: elements }, { value: 0 });
        }
      }
      const sizeBytes = allocateActivations(recorder.calls);
      const lifetimes = lifetimesOf(recorder.calls);
      for (const one of lifetimes) {
        const start = one.storage.offsetBytes!;
        const end = start + one.storage.elements * elementBytes;
        expect(start % alignmentBytes).toBe(0);
        expect(end).toBeLessThanOrEqual(sizeBytes);
        for (const other of lifetimes) {
          if (one === other || one.last < other.first || other.last < one.first) continue;
          const otherStart = other.storage.offsetBytes!;
          const apart =
            end <= otherStart || otherStart + other.storage.elements * elementBytes <= start;
          expect(apart).toBe(true);
        }
      }
      expect(sizeBytes).toBeLessThanOrEqual(2 * peakLiveBytes(recorder.calls));
    }),
  );
});

test("T-2 calls whose results nobody reads are dropped", () => {
  const recorder = new Recorder("evaluate");
  const kept = new FixedSpace("inputs").add("result", [8]);
  const [a, b, unread] = ["a", "b", "unread"].map((name) => recorder.activation(name, 1, 8)) as [
    typeof kept,
    typeof kept,
    typeof kept,
  ];
  recorder.emit("fill", { out: a }, { count: 8 }, { value: 1 });
  recorder.emit("gelu", { x: a, y: unread }, { count: 8 });
  recorder.emit("gelu", { x: a, y: b }, { count: 8 });
  recorder.emit("gelu", { x: b, y: kept }, { count: 8 });
  expect(dropDeadCalls(recorder.calls).map((call) => recorder.calls.indexOf(call))).toEqual([
    0, 2, 3,
  ]);
});
