import { apply, input, state } from "../../../src/graph/build.js"
import { NO_INDEX, type ReduceFn } from "../../../src/ir/specs/rows.js"
import type { Value } from "../../../src/ir/value.js"
import { type DType, itemSize } from "../../../src/tensor/dtype.js"
import { type Shape, sizeOf } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"
import { exactly, floats, integers, masked, type Random, storageOf, stored, tied, type WeightDType } from "./random.js"
import type { Case } from "./run.js"

const REDUCE: readonly ReduceFn[] = ["sum", "mean", "max"]

export function reduceCases(random: Random): Case[] {
  return REDUCE.flatMap((fn) => [
    ...[[1], [9, 1], [4, 33], [2, 3, 515]].map((shape) => ({
      name: fn,
      outputs: [apply({ kind: "reduce", fn }, { x: floats(random, shape, "float32", 3) }).y],
    })),
    {
      name: `${fn} of negatives`,
      outputs: [apply({ kind: "reduce", fn }, { x: exactly([2, 3], [-5, -3, -4, -1, -9, -2]) }).y],
    },
  ])
}

export function softmaxCases(random: Random): Case[] {
  const far = exactly([2, 5], [900, 901, 899, 900, -900, -900, -901, -902, -900, -900])
  return [
    ...[[1], [3, 4], [17, 33], [2, 515]].map((shape) => ({
      name: `[${shape}]`,
      outputs: [apply({ kind: "softmax" }, { x: floats(random, shape, "float32", 40) }).y],
    })),
    { name: "masked", outputs: [apply({ kind: "softmax" }, { x: masked(random, [7, 19]) }).y] },
    { name: "far from zero", outputs: [apply({ kind: "softmax" }, { x: far }).y] },
  ]
}

/** Rows to choose from: plain, full of equals, masked. */
function choices(random: Random, shape: Shape): [string, Value][] {
  return [
    [`[${shape}]`, floats(random, shape)],
    [`[${shape}], with ties`, tied(random, shape)],
    [`[${shape}], masked`, masked(random, shape)],
    [
      `[${shape}], all negative`,
      exactly(
        shape,
        random.floats(sizeOf(shape)).map((value) => value - 2),
      ),
    ],
  ]
}

/** Lengths that GPU kernels take in one part and in several. */
export const HOPELESS = [33, 5000]

/** Values that leave nobody a choice, by their bits: JavaScript may turn one NaN into another. */
const HOPELESS_BITS = [0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7f800000]

/** Rows nobody can choose from, between rows that somebody can; the last is -Infinity but for its end. */
export function hopelessRows(random: Random, n: number): [string, number, Float32Array][] {
  const minus = Array<number>(n).fill(Number.NEGATIVE_INFINITY)
  const plain = () => [...random.floats(n, 5)]
  const x = (first: number[], second: number[], bits?: number) => {
    const rows = Float32Array.from([...plain(), ...first, ...plain(), ...second, ...minus.slice(1), 1])
    const words = new Uint32Array(rows.buffer)
    if (bits !== undefined) for (const row of [1, 3]) words[row * n + (n >> 1)] = bits
    return rows
  }
  return [
    ...HOPELESS_BITS.map((bits): [string, number, Float32Array] => [
      `rows of ${n} with one ${bits.toString(16)}`,
      n,
      x(plain(), minus, bits),
    ]),
    [`rows of ${n} of NaN, of -Infinity`, n, x(Array<number>(n).fill(Number.NaN), minus)],
  ]
}

/** The same as constants `[5, n]`. */
function hopeless(random: Random, n: number): [string, Value][] {
  return hopelessRows(random, n).map(([name, , rows]) => [
    name,
    stored("float32", [5, n], new Uint8Array(rows.buffer as ArrayBuffer)),
  ])
}

export function argmaxCases(random: Random): Case[] {
  const shapes: Shape[] = [
    [1, 1],
    [3, 7],
    [2, 2, 33],
    [2, 1030],
  ]
  return shapes
    .flatMap((shape) =>
      choices(random, shape).map(([name, x]) => ({ name, outputs: [apply({ kind: "argmax" }, { x }).ids] })),
    )
    .concat(
      HOPELESS.flatMap((n) => hopeless(random, n)).map(([name, x]) => ({
        name,
        outputs: [apply({ kind: "argmax" }, { x }).ids],
      })),
    )
}

export function topKCases(random: Random): Case[] {
  const cases: [Shape, number][] = [
    [[1, 4], 4],
    [[3, 10], 3],
    [[5, 32], 4],
    [[33, 32], 1],
    [[2, 128], 4],
    [[2, 515], 17],
  ]
  return cases.flatMap(([shape, k]) =>
    choices(random, shape).map(([name, x]) => ({
      name: `${k} of ${name}`,
      outputs: [apply({ kind: "top_k", k }, { x }).ids],
    })),
  )
}

export function takeAlongAxisCases(random: Random): Case[] {
  const cases: [Shape, number][] = [
    [[1, 1], 1],
    [[5, 33], 4],
    [[2, 3, 7], 9],
  ]
  return cases.map(([shape, k]) => ({
    name: `${k} of [${shape}]`,
    outputs: [
      apply(
        { kind: "take_along_axis" },
        { x: floats(random, shape), indices: integers(random, [...shape.slice(0, -1), k], shape[shape.length - 1]) },
      ).y,
    ],
  }))
}

/** Rows of these types and lengths: words, parts of words, more than a workgroup takes. */
const ROW_TYPES = ["float32", "uint32", "int32", "float16", "uint8"] as const
const ROW_SHAPES: readonly Shape[] = [[], [1], [3], [4], [2, 33], [5, 130]]

/** Any bytes; of float32, those of numbers that can be compared. */
function anyBytes(random: Random, dtype: DType, shape: Shape): Uint8Array {
  const size = sizeOf(shape)
  return dtype === "float32" ? new Uint8Array(random.floats(size).buffer) : random.bytes(size * itemSize(dtype))
}

/** Different rows below `rows` in any order, and NO_INDEX now and then. */
function someRows(random: Random, count: number, rows: number): Uint32Array {
  const left = Array.from({ length: rows }, (_, row) => row)
  return Uint32Array.from({ length: count }, () =>
    left.length === 0 || random.below(4) === 0 ? NO_INDEX : left.splice(random.below(left.length), 1)[0],
  )
}

export function takeCases(random: Random): Case[] {
  const cases: [Shape, number][] = [
    [[1], 1],
    [[7], 3],
    [[5, 33], 9],
    [[3, 2, 2880], 2],
  ]
  const plain = cases.map(([shape, count]) => ({
    name: `${count} of [${shape}]`,
    outputs: [
      apply({ kind: "take" }, { x: floats(random, shape), indices: integers(random, [count], shape[0]) }).y,
      apply({ kind: "take" }, { x: integers(random, shape, 2 ** 32), indices: integers(random, [count], shape[0]) }).y,
    ],
  }))
  const others = ROW_TYPES.flatMap((dtype) =>
    ROW_SHAPES.map((row) => {
      const [x, otherwise] = [6, 7].map((rows) => {
        const shape = [rows, ...row]
        return stored(dtype, shape, anyBytes(random, dtype, shape))
      })
      const indices = stored("uint32", [7], new Uint8Array(someRows(random, 7, 6).buffer))
      return {
        name: `rows of ${dtype} [${row}], some from elsewhere`,
        outputs: [apply({ kind: "take" }, { x, indices, otherwise }).y],
      }
    }),
  )
  return [...plain, ...others]
}

export function putCases(random: Random): Case[] {
  const rows = ROW_TYPES.flatMap((dtype) =>
    ROW_SHAPES.map((row) => {
      const [whole, some] = [9, 5].map((rows) => [rows, ...row])
      const first = storageOf("state", dtype, whole, anyBytes(random, dtype, whole))
      // The rows are the same in every replay, and go elsewhere in each.
      const x = stored(dtype, some, anyBytes(random, dtype, some))
      const indices = input("indices", [5], "uint32")
      return {
        name: `rows of ${dtype} [${row}]`,
        outputs: [apply({ kind: "put" }, { state: state(first), x, indices }).state],
        replays: [5, 9, 2].map((rows) => ({ indices: someRows(random, 5, rows) })),
      }
    }),
  )
  return [...rows, ...[[1], [7], [3, 33], [5, 130]].map((shape) => runningSum(random, shape))]
}

function runningSum(random: Random, shape: Shape): Case {
  const total = new Storage("total", "float32", shape, null)
  const sum = apply({ kind: "binary", fn: "add" }, { a: state(total), b: input("x", shape, "float32") }).y
  const indices = stored(
    "uint32",
    [shape[0]],
    new Uint8Array(Uint32Array.from({ length: shape[0] }, (_, i) => i).buffer),
  )
  return {
    name: `the running sum of [${shape}], and what it was before`,
    outputs: [
      apply({ kind: "put" }, { state: state(total), x: sum, indices }).state,
      apply({ kind: "unary", fn: "neg" }, { x: state(total) }).y,
    ],
    replays: [1, 2, 3].map(() => ({ x: random.floats(sizeOf(shape), 9) })),
  }
}

export function rmsNormCases(random: Random): Case[] {
  const cases: [Shape, WeightDType, number, number][] = [
    [[1, 1], "float32", 1, 1e-5],
    [[1, 7], "float32", 5, 1e-5],
    [[17, 192], "bfloat16", 5, 1e-5],
    [[3, 2880], "float16", 5, 1e-6],
    [[33, 64], "float32", 1e-3, 1e-5],
    [[3, 65], "bfloat16", 1e4, 1e-5],
    [[2, 3, 9], "float32", 1, 0.1],
  ]
  return cases.map(([shape, dtype, scale, eps]) => ({
    name: `[${shape}] of ${scale}, weight ${dtype}, eps ${eps}`,
    outputs: [
      apply(
        { kind: "rms_norm", eps },
        { x: floats(random, shape, "float32", scale), weight: floats(random, shape.slice(-1), dtype) },
      ).y,
    ],
  }))
}

export function weightedSumCases(random: Random): Case[] {
  const shapes: [number, number, number][] = [
    [1, 1, 1],
    [1, 4, 2880],
    [9, 1, 5],
    [6, 3, 33],
    [33, 4, 17],
  ]
  return shapes.map(([L, k, N]) => ({
    name: `[${L}, ${k}, ${N}]`,
    outputs: [apply({ kind: "weighted_sum" }, { x: floats(random, [L, k, N]), weights: floats(random, [L, k]) }).y],
  }))
}
