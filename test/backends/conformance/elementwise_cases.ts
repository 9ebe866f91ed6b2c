import { apply, copy, slice } from "../../../src/graph/build.js"
import type { BinaryFn, UnaryFn } from "../../../src/ir/specs/elementwise.js"
import { itemSize } from "../../../src/tensor/dtype.js"
import type { Shape } from "../../../src/tensor/shape.js"
import { everySecond, exactly, floats, integers, type Random, SHAPES, stored, WEIGHT_DTYPES } from "./random.js"
import type { Case } from "./run.js"

const UNARY: readonly UnaryFn[] = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sigmoid", "silu"]
const BINARY: readonly BinaryFn[] = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]

/** Where a function's float32 result is near the ends of its range, or beyond them. */
const EXTREMES: Record<UnaryFn, readonly number[]> = {
  neg: [0, -0, Infinity, 3.4e38, 1e-38],
  abs: [-0, -Infinity, -1e-38],
  exp: [0, -0, -86, -104, -1000, -Infinity, 88.7],
  log: [1, 1e-38, 3.4e38, 0.99999994, Infinity],
  sqrt: [0, 1e-38, 3.4e38, Infinity],
  rsqrt: [1e-38, 3.4e38, Infinity],
  sigmoid: [0, -80, -200, 80, 200, Infinity, -Infinity],
  silu: [0, -80, -200, 80, 3.4e38],
}

export function copyCases(random: Random): Case[] {
  return [
    ...WEIGHT_DTYPES.map((dtype) => ({
      name: `${dtype} to float32`,
      outputs: [copy(floats(random, [3, 37], dtype), "float32")],
    })),
    ...(["float16", "bfloat16"] as const).flatMap((dtype) => [
      { name: `to ${dtype}, an odd number`, outputs: [copy(floats(random, [5, 13], "float32", 100), dtype)] },
      {
        name: `to ${dtype} and back`,
        outputs: [copy(copy(floats(random, [5, 13], "float32", 100), dtype), "float32")],
      },
    ]),
    { name: "uint32", outputs: [copy(everySecond(integers(random, [9, 5], 2 ** 32), 0, 1))] },
    ...(["uint8", "float8_e4m3", "int32", "int64", "bool"] as const).map((dtype) => ({
      name: `strided ${dtype}`,
      outputs: [copy(everySecond(stored(dtype, [7, 5], random.bytes(35 * itemSize(dtype), 0, 2)), 1, 1))],
    })),
    { name: "strided", outputs: [copy(slice(floats(random, [9, 10, 6]), [1, 0, 1], [9, 10, 6], [3, 2, 2]))] },
    { name: "strided bfloat16", outputs: [copy(everySecond(floats(random, [4, 9], "bfloat16"), 1, 0), "float32")] },
    {
      name: "four axes",
      outputs: [copy(slice(floats(random, [3, 4, 3, 5]), [0, 1, 0, 2], [3, 4, 3, 4], [2, 2, 1, 1]))],
    },
  ]
}

export function unaryCases(random: Random): Case[] {
  return UNARY.flatMap((fn) => [
    ...SHAPES.map((shape) => {
      const x = floats(random, shape, "float32", fn === "sigmoid" || fn === "silu" ? 30 : 4)
      const positive = apply({ kind: "unary", fn: "abs" }, { x }).y
      return {
        name: fn,
        outputs: [apply({ kind: "unary", fn }, { x: ["log", "sqrt", "rsqrt"].includes(fn) ? positive : x }).y],
      }
    }),
    // One at a time: next to 1e38 nothing small would count.
    ...EXTREMES[fn].map((x) => ({
      name: `${fn} of ${x}`,
      outputs: [apply({ kind: "unary", fn }, { x: exactly([1], [x]) }).y],
    })),
  ])
}

export function binaryCases(random: Random): Case[] {
  return BINARY.flatMap((fn) => {
    const op = (a: Shape, b: Shape) => apply({ kind: "binary", fn }, { a: floats(random, a), b: floats(random, b) }).y
    const x = floats(random, [4, 3])
    return [
      ...SHAPES.map((shape) => ({ name: fn, outputs: [op(shape, shape)] })),
      {
        name: `${fn}, broadcast`,
        outputs: [op([5, 1, 9], [4, 1]), op([33], [7, 33]), op([1], [3, 6]), op([2, 1, 3, 1], [5, 1, 4])],
      },
      {
        name: `${fn}, strided`,
        outputs: [apply({ kind: "binary", fn }, { a: slice(floats(random, [8, 6]), [0, 1], [8, 6], [2, 2]), b: x }).y],
      },
      { name: `${fn} with itself`, outputs: [apply({ kind: "binary", fn }, { a: x, b: x }).y] },
    ]
  })
}
