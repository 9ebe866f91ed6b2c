import { apply } from "../../../src/graph/build.js"
import { largest } from "../../../src/ir/dim.js"
import type { Value } from "../../../src/ir/value.js"
import { type Shape, sizeOf } from "../../../src/tensor/shape.js"
import type { ReduceFn } from "../../../src/ir/specs/rows.js"
import { exactly, floats, integers, masked, type Random, stored, tied, type WeightDType } from "./random.js"
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
const HOPELESS = [33, 5000]

/** Values that leave nobody a choice, by their bits: JavaScript may turn one NaN into another. */
const HOPELESS_BITS = [0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7f800000]

/** Rows nobody can choose from, between rows that somebody can; the last is -Infinity but for its end. */
export function hopeless(random: Random, n: number): [string, Value][] {
  const minus = Array<number>(n).fill(Number.NEGATIVE_INFINITY)
  const plain = () => [...random.floats(n, 5)]
  const x = (first: number[], second: number[], bits?: number) => {
    const rows = Float32Array.from([...plain(), ...first, ...plain(), ...second, ...minus.slice(1), 1])
    const words = new Uint32Array(rows.buffer)
    if (bits !== undefined) for (const row of [1, 3]) words[row * n + (n >> 1)] = bits
    return stored("float32", [5, n], new Uint8Array(rows.buffer))
  }
  return [
    ...HOPELESS_BITS.map((bits): [string, Value] => [
      `rows of ${n} with one ${bits.toString(16)}`,
      x(plain(), minus, bits),
    ]),
    [`rows of ${n} of NaN, of -Infinity`, x(Array<number>(n).fill(Number.NaN), minus)],
  ]
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

export function takeCases(random: Random): Case[] {
  const cases: [Shape, number][] = [
    [[1], 1],
    [[7], 3],
    [[5, 33], 9],
    [[3, 2, 2880], 2],
  ]
  return cases.map(([shape, count]) => ({
    name: `${count} of [${shape}]`,
    outputs: [
      apply({ kind: "take" }, { x: floats(random, shape), indices: integers(random, [count], shape[0]) }).y,
      apply({ kind: "take" }, { x: integers(random, shape, 2 ** 32), indices: integers(random, [count], shape[0]) }).y,
    ],
  }))
}

export function categoricalCases(random: Random): Case[] {
  const rows = 33
  const draw = (logits: Value, temperature: number, uniforms: Iterable<number>) =>
    apply(
      { kind: "categorical" },
      { logits, temperature: exactly([1], [temperature]), uniform: exactly([largest(logits.shape)[0]], uniforms) },
    ).ids
  const uniforms = () => Array.from({ length: rows }, () => Math.fround(random.uniform()) % 1)
  return [
    ...[1, 7, 515].flatMap((n) =>
      [0.05, 0.7, 1, 3].map((temperature) => ({
        name: `of ${n} at temperature ${temperature}`,
        outputs: [draw(floats(random, [rows, n], "float32", 5), temperature, uniforms())],
      })),
    ),
    {
      name: "masked, uniform at its ends",
      outputs: [0, 1 - 2 ** -24].map((u) => draw(masked(random, [rows, 19], 2), 1, Array(rows).fill(u))),
    },
    ...HOPELESS.flatMap((n) => hopeless(random, n)).map(([name, x]) => ({
      name,
      outputs: [0.5, 2].map((temperature) => draw(x, temperature, [0.1, 0.4, 0.6, 0.9, 0.5])),
    })),
  ]
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
