import { apply } from "../../graph/build.js"
import { exactly, floats, integers, MXFP4, type Random, weight } from "./random.test.helper.js"
import type { Case } from "./run.test.helper.js"

/** Gate and up: ordinary, far beyond any limit, and such that e^(-alpha * gate) or alpha * gate overflows float32. */
const EXTREMES: readonly (readonly [gate: number, up: number])[] = [
  [1e4, 0.5],
  [-1e4, 0.5],
  [-70, 2],
  [-200, -2],
  [3e38, -0.5],
  [-3e38, 0.5],
  [1, 3e38],
  [1, -3e38],
  [-3e38, 3e38],
]

const LIMITS = [7, 1e30, Number.POSITIVE_INFINITY]
const ALPHA = 1.702

/** The kinds that compute a SwiGLU. */
export const SWIGLU_KINDS = ["swiglu", "gather_swiglu", "norm_gather_swiglu"] as const

/** One output for each pair of extremes: next to a large number nothing small would count. */
export function extremeSwigluCases(kind: (typeof SWIGLU_KINDS)[number], random: Random): Case[] {
  return LIMITS.map((limit) => ({
    name: `limit ${limit}`,
    outputs: EXTREMES.flatMap(([gate, up]) =>
      kind === "swiglu"
        ? [apply({ kind, alpha: ALPHA, limit }, { gate: exactly([1], [gate]), up: exactly([1], [up]) }).y]
        : [1, 21].map((L) => ofProducts(kind, random, L, limit, [gate, up])),
    ),
  }))
}

/** The extremes come in by the biases, which every kernel adds in float32. */
function ofProducts(
  kind: "gather_swiglu" | "norm_gather_swiglu",
  random: Random,
  L: number,
  limit: number,
  biases: readonly [gate: number, up: number],
) {
  const [E, N, K] = [2, 6, 64]
  const [gate, up] = biases.map((bias) => ({
    ...weight(random, { quantization: MXFP4, bias: false }, [E], N, K, "float32"),
    bias: exactly([E, N], new Float32Array(E * N).fill(bias)),
  }))
  const operands = { x: floats(random, [L, K], "float32", 1e-3), ids: integers(random, [L, 1], E), gate, up }
  return kind === "gather_swiglu"
    ? apply({ kind, alpha: ALPHA, limit }, operands).y
    : apply({ kind, eps: 1, alpha: ALPHA, limit }, { ...operands, norm: floats(random, [K]) }).y
}
