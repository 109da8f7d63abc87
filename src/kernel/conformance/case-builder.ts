import {
  type Call,
  type ElementType,
  type OperationName,
  type Place,
  operations,
} from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import { type Draw, type Kind } from "./draw.ts";

/** What an operation writes: word indices in a space, in the output's logical order. */
export interface Output {
  readonly argument: string;
  readonly type: ElementType;
  readonly space: number;
  readonly indices: Uint32Array;
}

/** One call with the contents of its memory; what lies outside `outputs` must not change. */
export interface ConformanceCase {
  readonly operation: OperationName;
  readonly seed: number;
  readonly call: Call;
  readonly spaces: readonly Uint8Array<ArrayBuffer>[];
  readonly outputs: readonly Output[];
}

/** Where the rows of an argument start, from its first element. */
export interface Shape {
  readonly starts: readonly number[];
  readonly columns: number;
  /** Elements from the first to the last. */
  readonly extent: number;
}

export function matrix(rows: number, columns: number, stride = columns): Shape {
  const starts = Array.from({ length: rows }, (_, row) => row * stride);
  return { starts, columns, extent: rows * columns === 0 ? 0 : (rows - 1) * stride + columns };
}

export const vector = (count: number): Shape => matrix(1, count);

/** Logical rows, `groups` of them side by side per stride. */
export function groupedRows(rows: number, columns: number, groups: number, stride: number): Shape {
  const starts = Array.from(
    { length: rows },
    (_, row) => Math.floor(row / groups) * stride + (row % groups) * columns,
  );
  const wide = matrix(Math.ceil(rows / groups), groups * columns, stride);
  return { starts, columns, extent: wide.extent };
}

/** Padding, guard zones and fresh outputs hold this NaN: reading it spoils a result, writing it is seen. */
const guardWord = 0x7fc5a5a5;
const guardWords = 16;
const alignmentWords = 16;

/** A stretch of memory that one or more arguments lie in. */
export class Region {
  readonly words: Uint32Array<ArrayBuffer>;
  constructor(extent: number) {
    this.words = new Uint32Array(extent).fill(guardWord);
  }
}

interface Placed {
  readonly shape: Shape;
  readonly region: Region;
  readonly offset: number;
}

export interface Location {
  readonly region: Region;
  readonly offset: number;
}

/** Collects the arguments of one drawn call by the names of the contract and lays them out. */
export class CaseBuilder {
  private readonly placed = new Map<string, Placed>();
  private integerValues: Readonly<Record<string, number>> = {};
  private floatValues: Readonly<Record<string, number>> = {};
  private nonfinite = false;

  constructor(
    readonly operation: OperationName,
    readonly seed: number,
    readonly draw: Draw,
    /** Only values around one: for comparisons by tolerance. */
    readonly ordinaryOnly: boolean,
  ) {}

  /** Lets a few elements of some cases be NaN or infinite. Not for operations that compare values. */
  allowNonfinite(): void {
    this.nonfinite = !this.ordinaryOnly && this.draw.chance(1, 12);
  }

  /** A tensor with drawn contents; returns its elements from the first to the last. */
  floats(name: string, shape: Shape, kinds: readonly Kind[], at?: Location): Float32Array {
    const elements = new Float32Array(this.place(name, shape, at).buffer);
    const from = at?.offset ?? 0;
    const mixed = this.draw.chance(1, 4);
    const single = this.draw.pick(kinds);
    for (const start of shape.starts) {
      for (let column = 0; column < shape.columns; column++) {
        const kind = mixed ? this.draw.pick(kinds) : single;
        elements[from + start + column] = this.element(kind);
      }
    }
    return elements.subarray(from, from + shape.extent);
  }

  /** The same without signs. */
  magnitudes(name: string, shape: Shape, kinds: readonly Kind[]): Float32Array {
    const elements = this.floats(name, shape, kinds);
    for (const [index, value] of elements.entries()) elements[index] = Math.abs(value);
    return elements;
  }

  /** A tensor with given contents, contiguous. */
  given(name: string, values: readonly number[] | Float32Array): void {
    const words = this.place(name, vector(values.length));
    new Float32Array(words.buffer).set(values);
  }

  words(name: string, values: readonly number[]): void {
    const words = this.place(name, vector(values.length));
    new Int32Array(words.buffer).set(values);
  }

  /** A tensor to be written; holds guard words before. */
  output(name: string, shape: Shape, at?: Location): void {
    this.place(name, shape, at);
  }

  /** The same memory and shape as another argument. */
  alias(name: string, other: string): void {
    const placed = this.placed.get(other);
    assert(placed, `${other} is placed before ${name}`);
    this.placed.set(name, placed);
  }

  integers(values: Readonly<Record<string, number>>): void {
    this.integerValues = values;
  }

  numbers(values: Readonly<Record<string, number>>): void {
    this.floatValues = values;
  }

  private element(kind: Kind): number {
    if (this.ordinaryOnly) return this.draw.value("ordinary");
    if (this.nonfinite && this.draw.chance(1, 64)) {
      return this.draw.pick([NaN, Infinity, -Infinity]);
    }
    return this.draw.value(kind);
  }

  private place(name: string, shape: Shape, at?: Location): Uint32Array<ArrayBuffer> {
    const { region, offset } = at ?? { region: new Region(shape.extent), offset: 0 };
    this.placed.set(name, { shape, region, offset });
    return region.words;
  }

  private ordered(names: readonly string[], values: Readonly<Record<string, number>>): number[] {
    assert(names.length === Object.keys(values).length, `${this.operation} sets ${names.join()}`);
    return names.map((name) => {
      const value = values[name];
      assert(value !== undefined, `${this.operation} case sets ${name}`);
      return value;
    });
  }

  /** Lays the regions out in one to three spaces, between guard words, at aligned or odd offsets. */
  finish(): ConformanceCase {
    const { draw } = this;
    const operation = operations[this.operation];
    const known = new Set(operation.arguments.map(({ name }) => name));
    for (const name of this.placed.keys()) assert(known.has(name), `${this.operation} has ${name}`);
    const spaceCount = 1 + draw.below(3);
    const lengths = Array.from({ length: spaceCount }, () => guardWords);
    const starts = new Map<Region, { space: number; word: number }>();
    for (const { region } of this.placed.values()) {
      if (starts.has(region)) continue;
      const space = draw.below(spaceCount);
      const aligned = Math.ceil(lengths[space]! / alignmentWords) * alignmentWords;
      const word = aligned + (draw.chance(1, 4) ? draw.below(alignmentWords) : 0);
      starts.set(region, { space, word });
      lengths[space] = word + region.words.length + guardWords;
    }
    const spaces = lengths.map((length) => new Uint32Array(length).fill(guardWord));
    for (const [region, { space, word }] of starts) spaces[space]!.set(region.words, word);

    const outputs: Output[] = [];
    const places = operation.arguments.map((argument): Place | null => {
      const placed = this.placed.get(argument.name);
      if (!placed) return null;
      const { space, word } = starts.get(placed.region)!;
      const first = word + placed.offset;
      if (argument.access !== "in") {
        const { starts: rows, columns } = placed.shape;
        const indices = Uint32Array.from({ length: rows.length * columns }, (_, index) => {
          return first + rows[Math.floor(index / columns)]! + (index % columns);
        });
        outputs.push({ argument: argument.name, type: argument.type, space, indices });
      }
      return { space, offsetBytes: first * 4 };
    });
    const call: Call = {
      operation: this.operation,
      arguments: places,
      integers: this.ordered(operation.integers, this.integerValues),
      floats: this.ordered(operation.floats, this.floatValues),
    };
    const bytes = spaces.map((words) => new Uint8Array(words.buffer));
    return { operation: this.operation, seed: this.seed, call, spaces: bytes, outputs };
  }
}
