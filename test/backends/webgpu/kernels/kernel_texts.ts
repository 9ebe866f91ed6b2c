import { apply, input, state } from "../../../../src/graph/build.js"
import { lower } from "../../../../src/graph/lower.js"
import type { Value } from "../../../../src/ir/value.js"
import { type GpuFeatures, limitedTo, type Tier } from "../../../../src/backends/webgpu/features.js"
import type { KvFormat } from "../../../../src/tensor/kv_format.js"
import type { Quantization } from "../../../../src/tensor/quantization.js"
import { cacheStorage } from "../../conformance/attention_cases.js"
import { ACTIVATIONS } from "../../conformance/glu_cases.js"
import { Pages } from "../../conformance/pages.js"
import { AFFINE_8, floats, integers, MXFP4, Random, weight } from "../../conformance/random.js"
import { sampled, someRows } from "../../conformance/sampling_cases.js"
import { H100, plannedDispatches } from "../planned.js"

/** Something to compute, and the tiers whose kernels for it differ. */
interface Subject {
  readonly outputs: readonly Value[]
  readonly tiers: readonly Tier[]
}

const EPS = 1e-5
const AFFINE_4: Quantization = { mode: "affine", bits: 4, group_size: 32 }
const AFFINE_3: Quantization = { mode: "affine", bits: 3, group_size: 32 }
const MXFP8: Quantization = { mode: "mxfp8", bits: 8, group_size: 32 }
const NVFP4: Quantization = { mode: "nvfp4", bits: 4, group_size: 16 }
const [GPT_OSS] = ACTIVATIONS
const CORE: readonly Tier[] = ["core"]

/** Sizes of a small model whose products still take the kernels of a large one. */
const K = 192
const N = 96
const E = 8
const k = 2

const random = new Random(1)
let inputs = 0
const x = (...shape: number[]) => input(`x${inputs++}`, shape, "float32")
const norm = () => floats(random, [K], "bfloat16")
const ids = (L: number) => integers(random, [L, k], E)
const weightOf = (quantization: Quantization | null, lead: readonly number[], rows = N, columns = K) =>
  weight(random, { quantization, bias: true }, lead, rows, columns, "bfloat16")

function matmul(L: number, quantization: Quantization | null, tiers: readonly Tier[]): Subject {
  const operands = { x: x(L, K), weight: weightOf(quantization, []), residual: x(L, N) }
  return { outputs: [apply({ kind: "matmul" }, operands).y], tiers }
}

function normMatmul(L: number, quantization: Quantization | null, tiers: readonly Tier[]): Subject {
  const weights = (L > 8 ? [N] : [N, 32]).map((rows) => weightOf(quantization, [], rows))
  return { outputs: [apply({ kind: "norm_matmul", eps: EPS }, { x: x(L, K), norm: norm(), weights }).y], tiers }
}

function route(L: number, quantization: Quantization | null, tiers: readonly Tier[]): Subject {
  const operands = { x: x(L, K), norm: norm(), weight: weightOf(quantization, [], E) }
  const { ids, scores } = apply({ kind: "route", eps: EPS, k }, operands)
  return { outputs: [ids, scores], tiers }
}

/** A layer's experts as gpt-oss has them. */
function experts(L: number, quantization: Quantization | null, tiers: readonly Tier[]): Subject {
  const chosen = ids(L)
  const [gate, up] = [0, 1].map(() => weightOf(quantization, [E]))
  const op = { kind: "norm_gather_glu", eps: EPS, activation: GPT_OSS } as const
  const { y } = apply(op, { x: x(L, K), norm: norm(), ids: chosen, gate, up })
  const down = { x: y, ids: chosen, weight: weightOf(quantization, [E], K, N), scores: x(L, k), residual: x(L, K) }
  return { outputs: [apply({ kind: "gather_matmul_sum" }, down).y], tiers }
}

/** A product, the router that reads it, and its experts' products: where they share launches. */
function routed(tiers: readonly Tier[]): Subject {
  const { y } = apply({ kind: "matmul" }, { x: x(1, 128), weight: weightOf(AFFINE_8, [], K, 128), residual: x(1, K) })
  const rms = norm()
  const choice = apply({ kind: "route", eps: EPS, k }, { x: y, norm: rms, weight: weightOf(AFFINE_8, [], E) })
  const [gate, up] = [0, 1].map(() => weightOf(MXFP4, [E]))
  const op = { kind: "norm_gather_glu", eps: EPS, activation: GPT_OSS } as const
  const glu = apply(op, { x: y, norm: rms, ids: choice.ids, gate, up })
  return { outputs: [glu.y, choice.ids, choice.scores, y], tiers }
}

function gatherGlu(L: number, quantization: Quantization, tiers: readonly Tier[]): Subject {
  const [gate, up] = [0, 1].map(() => weightOf(quantization, [E]))
  const op = { kind: "gather_glu", activation: ACTIVATIONS[1] } as const
  return { outputs: [apply(op, { x: x(L, K), ids: ids(L), gate, up }).y], tiers }
}

function attention(rows: number, format: KvFormat, window: number | null, tiers: readonly Tier[]): Subject {
  const [heads, kv, D] = [4, 1, rows > 8 ? 16 : 32]
  const pages = new Pages({ sequences: 1, page_size: 16, total: 1024 })
  const cache = (name: string) => state(cacheStorage(name, format, [pages.slots, kv, D]))
  const op = { kind: "rope_attention", rope_scale: 1.25, scale: D ** -0.5, window, page_size: 16 } as const
  const operands = {
    qkv: x(rows, (heads + 2 * kv) * D),
    inv_freq: floats(random, [D / 2]),
    keys: cache("keys"),
    values: cache("values"),
    sinks: floats(random, [heads], "bfloat16"),
    ...pages.inputs(rows),
  }
  return { outputs: [apply(op, operands).y], tiers }
}

/** Attention to what was appended before, neither of them fused with rotation. */
function plainAttention(): Subject {
  const [rows, heads, kv, D] = [3, 2, 1, 32]
  const pages = new Pages({ sequences: 2, page_size: 8, total: 64 })
  const { slots, ...seen } = pages.inputs(rows)
  const append = (name: string) => {
    const cache = state(cacheStorage(name, "float16", [pages.slots, kv, D]))
    return apply({ kind: "kv_append" }, { cache, x: input(name, [rows, kv, D], "float32"), slots }).cache
  }
  const operands = { q: x(rows, heads, D), keys: append("k"), values: append("v"), ...seen }
  const op = { kind: "attention", scale: D ** -0.5, window: 20, page_size: 8 } as const
  return { outputs: [apply(op, operands).y], tiers: CORE }
}

const core = (...outputs: Value[]): Subject => ({ outputs, tiers: CORE })

/** One configuration of each kernel, by the name of its snapshot. */
const SUBJECTS: Readonly<Record<string, Subject>> = {
  "matmul affine8, 1 row": matmul(1, AFFINE_8, ["core", "subgroups", "f16"]),
  "matmul affine4, 3 rows": matmul(3, AFFINE_4, CORE),
  "matmul mxfp8, 3 rows": matmul(3, MXFP8, CORE),
  "matmul mxfp8, 12 rows": matmul(12, MXFP8, CORE),
  "matmul nvfp4, 3 rows": matmul(3, NVFP4, CORE),
  "matmul affine3, 12 rows": matmul(12, AFFINE_3, CORE),
  "matmul affine4, 12 rows": matmul(12, AFFINE_4, CORE),
  "norm_matmul bfloat16, 2 rows": normMatmul(2, null, ["core", "subgroups"]),
  "norm_matmul affine8, 70 rows": normMatmul(70, AFFINE_8, ["core", "matrix"]),
  "route bfloat16, 2 rows": route(2, null, ["core", "subgroups"]),
  "route affine8, 12 rows": route(12, AFFINE_8, CORE),
  "route affine3, 2 rows": route(2, AFFINE_3, CORE),
  "experts mxfp4, 2 rows": experts(2, MXFP4, ["core", "f16"]),
  "experts mxfp4, 150 rows": experts(150, MXFP4, ["core", "matrix"]),
  "experts nvfp4, 2 rows": experts(2, NVFP4, CORE),
  "routed experts mxfp4, 1 row": routed(["subgroups", "f16"]),
  "gather_glu affine4, 1 row": gatherGlu(1, AFFINE_4, CORE),
  "gather_matmul mxfp4, 1 row": core(
    apply({ kind: "gather_matmul" }, { x: x(1, K), ids: ids(1), weight: weightOf(MXFP4, [E]) }).y,
  ),
  "embedding mxfp4": core(
    apply(
      { kind: "embedding" },
      { ids: input("ids", [3], "uint32"), weight: { ...weightOf(MXFP4, []), bias: undefined } },
    ).y,
  ),
  "rope_attention float16, 1 row": attention(1, "float16", null, ["core", "subgroups"]),
  "rope_attention float32, 3 rows, window": attention(3, "float32", 100, CORE),
  "rope_attention int8, 1 row": attention(1, "int8", 100, ["core", "subgroups"]),
  "rope_attention float16, 20 rows": attention(20, "float16", null, ["core", "matrix"]),
  "rope_attention int4, 20 rows": attention(20, "int4", 100, ["core", "matrix"]),
  "attention and kv_append float16": plainAttention(),
  argmax: { outputs: [apply({ kind: "argmax" }, { x: x(2, 5000) }).ids], tiers: ["core", "subgroups"] },
  "top_k of 32": core(apply({ kind: "top_k", k: 4 }, { x: x(2, 32) }).ids),
  "top_k of 5000": { outputs: [apply({ kind: "top_k", k: 4 }, { x: x(2, 5000) }).ids], tiers: ["core", "subgroups"] },
  sample: core(sampled(someRows(random, 2, 5000, true))),
  adjust_logits: core(
    apply(
      { kind: "adjust_logits" },
      {
        logits: x(2, 50),
        rows: input("rows", [3], "uint32"),
        ids: input("tokens", [3], "uint32"),
        bias: input("bias", [3], "float32"),
        factor: input("factor", [3], "float32"),
        shift: input("shift", [3], "float32"),
      },
    ).y,
  ),
  softmax: { outputs: [apply({ kind: "softmax" }, { x: x(3, 40) }).y], tiers: ["core", "subgroups"] },
  reduce: core(apply({ kind: "reduce", fn: "mean" }, { x: x(3, 40) }).y),
  rms_norm: core(apply({ kind: "rms_norm", eps: EPS }, { x: x(3, K), weight: norm() }).y),
  rope: core(
    apply(
      { kind: "rope", scale: 1 },
      { x: x(3, 2, 16), positions: input("positions", [3], "uint32"), inv_freq: floats(random, [8]) },
    ).y,
  ),
  glu: core(apply({ kind: "glu", activation: GPT_OSS }, { gate: x(3, 40), up: x(3, 40) }).y),
  weighted_sum: core(apply({ kind: "weighted_sum" }, { x: x(3, k, 40), weights: x(3, k) }).y),
  take_along_axis: core(
    apply({ kind: "take_along_axis" }, { x: x(3, 40), indices: input("indices", [3, 2], "uint32") }).y,
  ),
  take: core(apply({ kind: "take" }, { x: x(9, 5), indices: input("indices", [3], "uint32") }).y),
  put: core(
    apply(
      { kind: "put" },
      {
        state: state(cacheStorage("state", "float16", [9, 1, 5])),
        x: input("halves", [2, 1, 5], "float16"),
        indices: input("indices", [2], "uint32"),
      },
    ).state,
  ),
  copy: core(apply({ kind: "copy", dtype: "float16" }, { x: x(3, 5) }).y),
  unary: core(apply({ kind: "unary", fn: "log" }, { x: x(3, 5) }).y),
  binary: core(apply({ kind: "binary", fn: "multiply" }, { a: x(3, 5), b: x(5) }).y),
}

/** An H100 that stops at a tier; at the first of them with no more than what wgpu offers, as its compiler must take those texts. */
function featuresOf(tier: Tier): GpuFeatures {
  const features = limitedTo(H100, tier)
  return tier === "core" ? { ...features, maxBindings: 10, maxWorkgroupStorage: 32 * 1024 } : features
}

/** What a subject becomes at a tier. */
export interface KernelText {
  /** "matmul affine8, 1 row, f16": the name of its snapshot. */
  readonly name: string
  /** What is launched, in order, each text once. */
  readonly kernels: readonly { readonly label: string; readonly code: string }[]
}

/** The operations that {@link kernelTexts} are of. */
export function kindsOfTexts(): Set<string> {
  return new Set(
    Object.values(SUBJECTS).flatMap(({ outputs }) => lower({ outputs }).instructions.map(({ op }) => op.kind)),
  )
}

/** WGSL of one configuration of each kernel, at the tiers whose kernels differ. */
export function kernelTexts(): Promise<KernelText[]> {
  const all = Object.entries(SUBJECTS).flatMap(([name, { outputs, tiers }]) =>
    tiers.map(async (tier) => {
      const dispatches = await plannedDispatches(lower({ outputs }), featuresOf(tier))
      const kernels = new Map(dispatches.map(({ label, code }) => [tidy(code), label]))
      return { name: `${name}, ${tier}`, kernels: [...kernels].map(([code, label]) => ({ label, code })) }
    }),
  )
  return Promise.all(all)
}

/** Without the blank lines and trailing blanks that templates leave. */
function tidy(code: string): string {
  return code
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "")
    .join("\n")
}
