import { apply } from "../../../src/graph/build.js"
import type { GatedActivation } from "../../../src/ir/activation.js"
import type { Shape } from "../../../src/tensor/shape.js"
import { exactly, floats, integers, MXFP4, type Random, SHAPES, weight } from "./random.js"
import type { Case } from "./run.js"

const clampedSwiglu = (limit: number, offset = 1, alpha = 1.702): GatedActivation => ({
  fn: "clamped_swiglu",
  alpha,
  limit,
  offset,
})

/** gpt-oss's with its constants, and the others. */
export const ACTIVATIONS: readonly GatedActivation[] = [clampedSwiglu(7), { fn: "silu" }, { fn: "gelu_tanh" }]

/** Any of them, the clamped one with constants of its own. */
export function someActivation(random: Random): GatedActivation {
  const constants = clampedSwiglu(0.5 + 8 * random.uniform(), random.below(2), 0.5 + 2 * random.uniform())
  return [constants, ...ACTIVATIONS][random.below(1 + ACTIVATIONS.length)]
}

export function gluCases(random: Random): Case[] {
  const glu = (shape: Shape, scale: number, activation: GatedActivation) =>
    apply(
      { kind: "glu", activation },
      { gate: floats(random, shape, "float32", scale), up: floats(random, shape, "float32", scale) },
    ).y
  return [
    ...ACTIVATIONS.flatMap((activation) => [
      ...SHAPES.map((shape) => ({ name: `${activation.fn}, [${shape}]`, outputs: [glu(shape, 12, activation)] })),
      { name: `${activation.fn}, small gates`, outputs: [glu([9, 11], 0.1, activation)] },
      { name: `${activation.fn}, large gates`, outputs: [glu([9, 11], 500, activation)] },
    ]),
    { name: "other constants", outputs: [glu([9, 11], 4, clampedSwiglu(1.5, 1, 0.5))] },
    { name: "no offset", outputs: [glu([9, 11], 4, clampedSwiglu(7, 0))] },
  ]
}

/**
 * Gate and up: ordinary, far beyond any limit, and such that e^(-alpha * gate), alpha * gate, the gate's square or its
 * cube overflow float32.
 */
const EXTREMES: readonly (readonly [gate: number, up: number])[] = [
  [1e4, 0.5],
  [-1e4, 0.5],
  [-110, 2],
  [-200, -2],
  [1e14, 0.5],
  [-1e14, 0.5],
  [1e20, 0.5],
  [-1e20, 0.5],
  [3e38, -0.5],
  [-3e38, 0.5],
  [1, 3e38],
  [1, -3e38],
  [-3e38, 3e38],
]

const UNDER_EXTREMES: readonly GatedActivation[] = [
  ...[7, 1e30, Number.POSITIVE_INFINITY].map((limit) => clampedSwiglu(limit)),
  clampedSwiglu(Number.POSITIVE_INFINITY, 0),
  { fn: "silu" },
  { fn: "gelu_tanh" },
]

/** The kinds that compute a gated activation. */
export const GLU_KINDS = ["glu", "gather_glu", "norm_gather_glu"] as const

/** One output for each pair of extremes: next to a large number nothing small would count. */
export function extremeGluCases(kind: (typeof GLU_KINDS)[number], random: Random): Case[] {
  return UNDER_EXTREMES.map((activation) => ({
    name: Object.values(activation).join(" "),
    outputs: EXTREMES.flatMap(([gate, up]) =>
      kind === "glu"
        ? [apply({ kind, activation }, { gate: exactly([1], [gate]), up: exactly([1], [up]) }).y]
        : [1, 21].map((L) => ofProducts(kind, random, L, activation, [gate, up])),
    ),
  }))
}

/** The extremes come in by the biases, which every kernel adds in float32. */
function ofProducts(
  kind: "gather_glu" | "norm_gather_glu",
  random: Random,
  L: number,
  activation: GatedActivation,
  biases: readonly [gate: number, up: number],
) {
  const [E, N, K] = [2, 6, 64]
  const [gate, up] = biases.map((bias) => ({
    ...weight(random, { quantization: MXFP4, bias: false }, [E], N, K, "float32"),
    bias: exactly([E, N], new Float32Array(E * N).fill(bias)),
  }))
  const operands = { x: floats(random, [L, K], "float32", 1e-3), ids: integers(random, [L, 1], E), gate, up }
  return kind === "gather_glu"
    ? apply({ kind, activation }, operands).y
    : apply({ kind, eps: 1, activation }, { ...operands, norm: floats(random, [K]) }).y
}
