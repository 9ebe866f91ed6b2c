import { apply } from "../../../src/graph/build.js"
import type { GatedActivation } from "../../../src/ir/activation.js"
import type { WeightOf } from "../../../src/ir/type.js"
import type { Value } from "../../../src/ir/value.js"
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
  type WeightFormat,
  weight,
} from "./random.js"
import type { Case } from "./run.js"

const EPS = 1e-5
const [GPT_OSS] = ACTIVATIONS
const ROWS = [1, 3, 17, 70]

const affine8: NamedFormat = {
  name: "affine 8",
  format: { quantization: AFFINE_8, bias: true },
  dtype: "bfloat16",
}
const affine4: NamedFormat = {
  name: "affine 4",
  format: { quantization: { mode: "affine", group_size: 64, bits: 4 }, bias: true },
  dtype: "bfloat16",
}
const dense: NamedFormat = { name: "dense", format: { quantization: null, bias: true }, dtype: "bfloat16" }
const mxfp4: NamedFormat = { name: "mxfp4", format: { quantization: MXFP4, bias: true }, dtype: "bfloat16" }

/** Three groups of a format, so that no power of two divides the row. */
const rowLength = ({ quantization }: WeightFormat) => 3 * (quantization?.group_size ?? 11)

function normMatmul(random: Random, L: number, K: number, sizes: readonly number[], named: readonly NamedFormat[]) {
  const [x, norm] = [floats(random, [L, K], "float32", 5), floats(random, [K], named[0].dtype)]
  const weights = named.map(({ format, dtype }, i) => weight(random, format, [], sizes[i], K, dtype))
  return apply({ kind: "norm_matmul", eps: EPS }, { x, norm, weights }).y
}

export function normMatmulCases(random: Random): Case[] {
  const all = formats()
  return [
    ...all.map((named) => ({
      name: `${named.name}, alone and three of a kind`,
      outputs: [1, 3].flatMap((L) => [
        normMatmul(random, L, rowLength(named.format), [9], [named]),
        normMatmul(random, L, rowLength(named.format), [12, 3, 5], [named, named, named]),
      ]),
    })),
    ...ROWS.map((L) => ({
      name: `q, k and v of ${L} rows`,
      outputs: [normMatmul(random, L, 576, [40, 8, 8], [affine8, affine8, affine8])],
    })),
    {
      name: "gpt-oss's hidden size, as a head",
      outputs: [normMatmul(random, 1, 2880, [101], [{ ...affine8, format: { quantization: AFFINE_8, bias: false } }])],
    },
    {
      name: "groups of different sizes",
      outputs: [1, 17].map((L) => {
        const inGroups = (group_size: 32 | 64): NamedFormat => ({
          ...affine4,
          format: { quantization: { mode: "affine", bits: 4, group_size }, bias: false },
        })
        return normMatmul(random, L, 192, [7, 5], [inGroups(64), inGroups(32)])
      }),
    },
    {
      name: "different formats",
      outputs: [1, 17].map((L) => normMatmul(random, L, 192, [7, 5, 6], [affine8, mxfp4, dense])),
    },
  ]
}

/** What a `route` gives. */
function choice({ ids, scores }: { ids: Value; scores: Value }): Value[] {
  return [ids, scores]
}

function route(random: Random, L: number, E: number, k: number, { format, dtype }: NamedFormat, K = rowLength(format)) {
  return apply(
    { kind: "route", eps: EPS, k },
    {
      x: floats(random, [L, K], "float32", 5),
      norm: floats(random, [K], dtype),
      weight: weight(random, format, [], E, K, dtype),
    },
  )
}

export function routeCases(random: Random): Case[] {
  const twins = (L: number) =>
    apply(
      { kind: "route", eps: EPS, k: 5 },
      {
        x: floats(random, [L, 33]),
        norm: floats(random, [33]),
        weight: {
          quantization: null,
          weight: exactly(
            [40, 33],
            Array.from({ length: 20 }, () => [...random.floats(33)]).flatMap((row) => [...row, ...row]),
          ),
        },
      },
    )
  return [
    ...formats().map((named) => ({
      name: named.name,
      outputs: [1, 5].flatMap((L) => choice(route(random, L, 10, 3, named))),
    })),
    ...ROWS.map((L) => ({ name: `4 of 32, ${L} rows`, outputs: choice(route(random, L, 32, 4, affine8, 576)) })),
    { name: "4 of 128, gpt-oss's hidden size", outputs: choice(route(random, 2, 128, 4, dense, 2880)) },
    { name: "1 of 3", outputs: choice(route(random, 3, 3, 1, dense)) },
    { name: "all of 7", outputs: choice(route(random, 3, 7, 7, dense)) },
    { name: "experts that are twins: the lower id first", outputs: [1, 6].flatMap((L) => choice(twins(L))) },
  ]
}

/** How gate and up lie: in tensors of their own, or their rows in turn in one tensor as Hugging Face stores them. */
type Rows = "apart" | "interleaved"

function normGatherGlu(
  random: Random,
  activation: GatedActivation,
  named: NamedFormat,
  [L, K]: readonly [number, number],
  rows: Rows,
  packing?: "uint8",
  experts = 5,
) {
  const { format, dtype } = named
  const both = weight(random, format, [experts], 26, K, dtype, packing)
  const half = (first: number): WeightOf<Value> =>
    rows === "apart" ? weight(random, format, [experts], 13, K, dtype) : everySecondRow(both, 1, first)
  return apply(
    { kind: "norm_gather_glu", eps: EPS, activation },
    {
      x: floats(random, [L, K], "float32", 3),
      norm: floats(random, [K], dtype, 3),
      ids: integers(random, [L, 3], experts),
      gate: half(0),
      up: half(1),
    },
  ).y
}

/** A product, and experts as a router chooses them for its rows, in which the launches may share. */
function routedGlu(random: Random, experts: NamedFormat, router: NamedFormat, [L, E, k, N, K]: readonly number[]) {
  const routerWeight = (rows: number, columns: number) => weight(random, router.format, [], rows, columns, router.dtype)
  const product = { x: floats(random, [L, 192]), weight: routerWeight(K, 192), residual: floats(random, [L, K]) }
  const x = apply({ kind: "matmul" }, product).y
  const norm = floats(random, [K], router.dtype)
  const { ids, scores } = apply({ kind: "route", eps: EPS, k }, { x, norm, weight: routerWeight(E, K) })
  const [gate, up] = [0, 1].map(() => weight(random, experts.format, [E], N, K, experts.dtype))
  return [
    apply({ kind: "norm_gather_glu", eps: EPS, activation: GPT_OSS }, { x, norm, ids, gate, up }).y,
    ids,
    scores,
    x,
  ]
}

/** Experts as a router chooses them, for `L` rows, and whether one row takes two launches even where groups are two. */
export function routedCases(random: Random, L: number): (Case & { readonly isShared: boolean })[] {
  const routed = (experts: NamedFormat, router: NamedFormat, sizes: readonly number[], isShared: boolean) => ({
    name: `${experts.name} experts, ${router.name} router, ${[L, ...sizes].join(" ")}`,
    outputs: routedGlu(random, experts, router, [L, ...sizes]),
    isShared,
  })
  return [
    // Too many shares for two groups.
    routed(mxfp4, affine8, [32, 4, 30, 576], false),
    routed(affine8, mxfp4, [9, 3, 7, 192], false),
    routed(mxfp4, affine8, [2, 1, 30, 576], true),
    routed(affine8, mxfp4, [2, 2, 7, 192], false),
    routed(affine4, affine8, [2, 2, 9, 64], true),
    routed(mxfp4, mxfp4, [33, 1, 5, 64], false),
    routed(affine4, affine8, [5, 5, 6, 192], true),
    routed(mxfp4, affine8, [40, 3, 6, 64], true),
    routed(mxfp4, dense, [5, 2, 6, 64], true),
  ]
}

export function normGatherGluCases(random: Random): Case[] {
  return [
    ...[1, 3].map((L) => ({
      name: `of chosen experts, ${L} rows`,
      outputs: routedCases(random, L).flatMap(({ outputs }) => outputs),
    })),
    ...formats().flatMap((named, i) =>
      (["apart", "interleaved"] as const).map((rows, j) => {
        const activation = ACTIVATIONS[(i + j) % ACTIVATIONS.length]
        return {
          name: `${named.name}, ${rows}, ${activation.fn}`,
          outputs: [1, 5].map((L) => normGatherGlu(random, activation, named, [L, rowLength(named.format)], rows)),
        }
      }),
    ),
    ...ACTIVATIONS.map((activation) => ({
      name: `mxfp4, ${activation.fn}`,
      outputs: [1, 21].map((L) => normGatherGlu(random, activation, mxfp4, [L, 96], "apart")),
    })),
    ...ROWS.map((L) => ({
      name: `mxfp4, packed in bytes, ${L} rows`,
      outputs: [normGatherGlu(random, GPT_OSS, mxfp4, [L, 96], "interleaved", "uint8")],
    })),
    ...[mxfp4, affine8].map((named) => ({
      name: `${named.name}, few rows an expert`,
      outputs: [normGatherGlu(random, GPT_OSS, named, [19, 192], "apart", undefined, 30)],
    })),
    { name: "gpt-oss's hidden size", outputs: [normGatherGlu(random, GPT_OSS, mxfp4, [2, 2880], "apart")] },
    {
      name: "gate and up in different formats",
      outputs: [1, 6].map(
        (L) =>
          apply(
            { kind: "norm_gather_glu", eps: EPS, activation: GPT_OSS },
            {
              x: floats(random, [L, 192]),
              norm: floats(random, [192]),
              ids: integers(random, [L, 2], 3),
              gate: weight(random, mxfp4.format, [3], 9, 192, "bfloat16"),
              up: weight(random, affine8.format, [3], 9, 192, "bfloat16"),
            },
          ).y,
      ),
    },
  ]
}

function gatherMatmulSum(
  random: Random,
  { format, dtype }: NamedFormat,
  L: number,
  k: number,
  N: number,
  K: number,
  experts = 5,
) {
  return apply(
    { kind: "gather_matmul_sum" },
    {
      x: floats(random, [L, k, K]),
      ids: integers(random, [L, k], experts),
      weight: weight(random, format, [experts], N, K, dtype),
      scores: floats(random, [L, k]),
      residual: floats(random, [L, N], "float32", 3),
    },
  ).y
}

export function gatherMatmulSumCases(random: Random): Case[] {
  return [
    ...formats().map((named) => ({
      name: named.name,
      outputs: [1, 5].map((L) => gatherMatmulSum(random, named, L, 3, 11, rowLength(named.format))),
    })),
    ...ROWS.map((L) => ({ name: `mxfp4, ${L} rows`, outputs: [gatherMatmulSum(random, mxfp4, L, 4, 33, 192)] })),
    { name: "few rows an expert", outputs: [gatherMatmulSum(random, mxfp4, 19, 3, 33, 192, 30)] },
    { name: "one expert a row", outputs: [1, 6].map((L) => gatherMatmulSum(random, mxfp4, L, 1, 7, 96)) },
    { name: "gpt-oss's hidden size", outputs: [gatherMatmulSum(random, mxfp4, 2, 4, 9, 2880)] },
  ]
}
