import { apply } from "../../../src/graph/build.js"
import type { GatedActivation } from "../../../src/ir/activation.js"
import { NO_INDEX } from "../../../src/ir/specs/rows.js"
import type { WeightOf } from "../../../src/ir/type.js"
import type { Value } from "../../../src/ir/value.js"
import type { Shape } from "../../../src/tensor/shape.js"
import { ACTIVATIONS } from "./glu_cases.js"
import {
  AFFINE_8,
  everySecondRow,
  exactly,
  floats,
  formats,
  integers,
  MXFP4,
  type NamedFormat,
  type Random,
  stored,
  type WeightDType,
  type WeightFormat,
  weight,
} from "./random.js"
import type { Case } from "./run.js"

const affine8: WeightFormat = { quantization: AFFINE_8, bias: true }
const mxfp4: WeightFormat = { quantization: MXFP4, bias: true }

/** Row lengths that a format allows: one group, odd multiples of it, gpt-oss's hidden size. */
function rowLengths({ quantization }: WeightFormat): number[] {
  // Rows are whole uint32 words: the groups of 16 elements of nvfp4 are two.
  const group = quantization?.group_size ?? 1
  return [group, 3 * group, 7 * group, ...(2880 % group === 0 ? [2880] : [])]
}

const ROWS_AND_COLUMNS = [
  [1, 5],
  [3, 33],
  [17, 9],
  [33, 3],
] as const

export function embeddingCases(random: Random): Case[] {
  return formats().flatMap(({ name, format, dtype }) => {
    const bare = { ...format, bias: false }
    return rowLengths(format).map((n) => ({
      name: `${name}, ${n} columns`,
      outputs: [
        apply(
          { kind: "embedding" },
          {
            ids: stored(
              "uint32",
              [7],
              new Uint8Array(Uint32Array.of(30, 0, 17, 17, random.below(31), 1, NO_INDEX).buffer),
            ),
            weight: weight(random, bare, [], 31, n, dtype),
          },
        ).y,
      ],
    }))
  })
}

function product(random: Random, format: WeightFormat, dtype: WeightDType, L: number, N: number, K: number, scale = 1) {
  const x = floats(random, [L, K], "float32", scale)
  return apply({ kind: "matmul" }, { x, weight: weight(random, format, [], N, K, dtype) }).y
}

export function matmulCases(random: Random): Case[] {
  return [
    ...formats().flatMap(({ name, format, dtype }) =>
      rowLengths(format).flatMap((K, i) => {
        const [L, N] = ROWS_AND_COLUMNS[i]
        return [
          { name: `${name}, ${L} rows, ${N}x${K}`, outputs: [product(random, format, dtype, L, N, K)] },
          { name: `${name}, 1 row, ${N}x${K}`, outputs: [product(random, format, dtype, 1, N, K)] },
        ]
      }),
    ),
    ...[
      [1, 101, 2880],
      [70, 40, 128],
    ].flatMap(([L, N, K]) =>
      [affine8, mxfp4].map((format) => ({
        name: `${format.quantization?.mode}, ${L} rows of 10, ${N}x${K}`,
        outputs: [product(random, format, "bfloat16", L, N, K, 10)],
      })),
    ),
    ...[1, 6].map((L) => ({
      name: `with a residual, ${L} rows`,
      outputs: [affine8, { ...affine8, bias: false }].map(
        (format) =>
          apply(
            { kind: "matmul" },
            {
              x: floats(random, [L, 192]),
              weight: weight(random, format, [], 10, 192, "bfloat16"),
              residual: floats(random, [L, 10], "float32", 5),
            },
          ).y,
      ),
    })),
    {
      name: "every second row of a weight",
      outputs: [affine8, mxfp4].flatMap((format) =>
        [1, 5].map((L) => {
          const rows = everySecondRow(weight(random, format, [], 24, 128, "bfloat16"), 0, 1)
          return apply({ kind: "matmul" }, { x: floats(random, [L, 128]), weight: rows }).y
        }),
      ),
    },
    {
      name: "a weight packed in bytes",
      outputs: [affine8, mxfp4].map(
        (format) =>
          apply(
            { kind: "matmul" },
            { x: floats(random, [3, 192]), weight: weight(random, format, [], 10, 192, "bfloat16", "uint8") },
          ).y,
      ),
    },
    ...[0, 1e-20, 1e6].map((scale) => ({
      name: `activations of ${scale}`,
      outputs: [affine8, mxfp4].map((format) =>
        product(random, { ...format, bias: false }, "bfloat16", 2, 6, 128, scale),
      ),
    })),
    ...[affine8, mxfp4].map((format) => ({
      name: `${format.quantization?.mode}, one activation of thousands is large`,
      outputs: [1, 5].map((L) => {
        const x = random.floats(L * 576, 0.01)
        for (let l = 0; l < L; l++) x[l * 576 + random.below(576)] = 1000
        const of = weight(random, format, [], 7, 576, "bfloat16")
        return apply({ kind: "matmul" }, { x: exactly([L, 576], x), weight: of }).y
      }),
    })),
    // gpt-oss's scales are far inside; a conversion gone wrong shows at the ends, where the scale's exponent field is 0.
    ...[0, 1, 60, 180].map((byte) => ({
      name: `mxfp4 scales of 2^${byte - 127}`,
      outputs: [
        apply(
          { kind: "matmul" },
          {
            x: floats(random, [2, 64], "float32", 1e6),
            weight: {
              quantization: MXFP4,
              weight: stored("uint32", [5, 8], random.bytes(5 * 32)),
              scales: stored("uint8", [5, 2], new Uint8Array(10).fill(byte)),
            },
          },
        ).y,
      ],
    })),
  ]
}

function gather(random: Random, { format, dtype }: NamedFormat, xShape: Shape, experts: Value): Value {
  const K = xShape[xShape.length - 1]
  return apply(
    { kind: "gather_matmul" },
    { x: floats(random, xShape), ids: experts, weight: weight(random, format, [5], 11, K, dtype) },
  ).y
}

export function gatherMatmulCases(random: Random): Case[] {
  return formats().flatMap((named) => {
    const [, K] = rowLengths(named.format)
    return [
      {
        name: `${named.name}, a row per token`,
        outputs: [1, 19].map((L) => gather(random, named, [L, K], integers(random, [L, 3], 5))),
      },
      {
        name: `${named.name}, a row per slot`,
        outputs: [1, 19].map((L) => gather(random, named, [L, 3, K], integers(random, [L, 3], 5))),
      },
      {
        name: `${named.name}, one expert has all`,
        outputs: [gather(random, named, [17, K], exactlyExpert(4, 17))],
      },
    ]
  })
}

function exactlyExpert(expert: number, L: number): Value {
  return stored("uint32", [L, 1], new Uint8Array(new Uint32Array(L).fill(expert).buffer))
}

/** How gate and up lie: in tensors of their own, or their rows in turn in one tensor as Hugging Face stores them. */
type Rows = "apart" | "interleaved" | "interleaved, packed in bytes"

function gatherGlu(
  random: Random,
  activation: GatedActivation,
  { format, dtype }: NamedFormat,
  L: number,
  K: number,
  rows: Rows,
): Value {
  const packing = rows === "interleaved, packed in bytes" ? "uint8" : "uint32"
  const both = weight(random, format, [5], 26, K, dtype, packing)
  const half = (first: number): WeightOf<Value> =>
    rows === "apart" ? weight(random, format, [5], 13, K, dtype) : everySecondRow(both, 1, first)
  const operands = { x: floats(random, [L, K], "float32", 3), ids: integers(random, [L, 3], 5) }
  return apply({ kind: "gather_glu", activation }, { ...operands, gate: half(0), up: half(1) }).y
}

export function gatherGluCases(random: Random): Case[] {
  const published: NamedFormat = { name: "mxfp4", format: mxfp4, dtype: "bfloat16" }
  return [
    ...formats().flatMap((named, i) =>
      (["apart", "interleaved"] as const).map((rows, j) => {
        const activation = ACTIVATIONS[(i + j) % ACTIVATIONS.length]
        return {
          name: `${named.name}, ${rows}, ${activation.fn}`,
          outputs: [1, 21].map((L) => gatherGlu(random, activation, named, L, rowLengths(named.format)[1], rows)),
        }
      }),
    ),
    ...ACTIVATIONS.map((activation) => ({
      name: `mxfp4, ${activation.fn}`,
      outputs: [1, 21].map((L) => gatherGlu(random, activation, published, L, 96, "apart")),
    })),
    {
      name: "mxfp4, interleaved, packed in bytes",
      outputs: [1, 21].map((L) => gatherGlu(random, ACTIVATIONS[0], published, L, 96, "interleaved, packed in bytes")),
    },
    {
      name: "gate and up in different formats",
      outputs: [1, 6].map(
        (L) =>
          apply(
            { kind: "gather_glu", activation: ACTIVATIONS[0] },
            {
              x: floats(random, [L, 192]),
              ids: integers(random, [L, 2], 3),
              gate: weight(random, mxfp4, [3], 9, 192, "bfloat16"),
              up: weight(random, affine8, [3], 9, 192, "bfloat16"),
            },
          ).y,
      ),
    },
  ]
}
