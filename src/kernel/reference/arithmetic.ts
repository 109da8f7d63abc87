import * as single from "./binary32.ts";
import { exponential, logarithm, turn, type Turn } from "./elementary.ts";

/** A tensor's elements: binary32 for `exact/1`, binary64 where gradients and errors are measured. */
export type Floats = Float32Array | Float64Array;

/**
 * The number system an operation is evaluated in. The operations are written once over this
 * interface: `binary32` gives the bits of `exact/1`; `binary64` gives the same formulas in doubles
 * with the platform's functions and without thresholds, as a yardstick for errors and gradients.
 */
export interface Arithmetic {
  readonly name: "binary32" | "binary64";
  /** The nearest value of this number system. */
  constant(x: number): number;
  add(a: number, b: number): number;
  subtract(a: number, b: number): number;
  multiply(a: number, b: number): number;
  divide(a: number, b: number): number;
  squareRoot(a: number): number;
  /** a·b + c. */
  fma(a: number, b: number, c: number): number;
  /** Tiny inputs of chains as +0. */
  flush(x: number): number;
  /** Tiny optimizer moments as +0. */
  floor(x: number): number;
  /** For x ≤ 0. */
  exponential(x: number): number;
  /** For normal x > 0. */
  logarithm(x: number): number;
  turn(u: number): Turn;
}

export const binary32: Arithmetic = {
  name: "binary32",
  constant: Math.fround,
  add: single.add,
  subtract: single.subtract,
  multiply: single.multiply,
  divide: single.divide,
  squareRoot: single.squareRoot,
  fma: single.fma,
  flush: single.flush,
  floor: single.floor,
  exponential,
  logarithm,
  turn,
};

export const binary64: Arithmetic = {
  name: "binary64",
  constant: (x) => x,
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  squareRoot: Math.sqrt,
  fma: (a, b, c) => a * b + c,
  flush: (x) => x,
  floor: (x) => x,
  exponential: Math.exp,
  logarithm: Math.log,
  turn: (u) => ({ cosine: Math.cos(2 * Math.PI * u), sine: Math.sin(2 * Math.PI * u) }),
};
