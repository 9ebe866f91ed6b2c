import { describe, expect, it } from "vitest"
import { storeFor } from "../engine/memory_plan.js"
import { traceStep } from "../engine/step.js"
import { FUSED_KINDS } from "../ir/operations.js"
import { writesOf } from "../ir/describe.js"
import { isKind, type Program } from "../ir/program.js"
import { apply, constant } from "../graph/build.js"
import { explain } from "../graph/explain.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import { rewrite } from "../graph/rewrite.js"
import { isNode, type Node, type Roots, type Value } from "../ir/value.js"
import { Storage } from "../tensor/storage.js"
import { H100, plannedDispatches } from "../../test/backends/webgpu/planned.js"
import { fixtures, openFixture } from "../../test/models/fixtures.js"
import { unreadModel } from "../../test/models/unread.js"
import type { GptOss } from "./gpt_oss.js"

const fusions = new Set(FUSED_KINDS)

/** A step of `rows` tokens of one sequence as a scheduler traces it: its last draws a token, or nothing is wanted. */
function trace(model: GptOss, rows: number, draws: boolean): Roots {
  const store = storeFor(model, { prefillChunk: 16 }, { format: "float32", max_context: 64 })
  const states = { store, drawn: new Storage("drawn ids", "uint32", [1], null) }
  const wanted = draws ? (rows > 1 ? 1 : "all") : "none"
  return traceStep({ rows, wanted, draws: draws ? "greedy" : null, logits: false }, model, states)
}

/** The same with every fusion there is. */
function program(model: GptOss, rows: number, draws: boolean): Program {
  return lower(optimise(trace(model, rows, draws), { fusions }))
}

const kindsOf = (roots: Roots) => lower(roots).instructions.map(({ op }) => op.kind)

/** The traced graph with something else in place of some values, as another model would have it. */
const altered = (roots: Roots, rule: (node: Node) => ReadonlyMap<Value, Value> | null) =>
  rewrite(roots, { name: "alter", makes: null, rule: () => rule })

const weight = (...shape: number[]) => constant(new Storage("w", "float32", shape, null))
const matmul = (x: Value, w: Value) => apply({ kind: "matmul" }, { x, weight: { quantization: null, weight: w } }).y

const LAYER = ["norm_matmul", "rope_attention", "matmul", "route", "norm_gather_glu", "gather_matmul_sum"]

describe("a traced step of gpt-oss with every fusion", () => {
  it.each(fixtures("hf", "hf-mxfp4", "mlx-q8"))("%s, %s: six kernels a layer, no copies", async (shape, layout) => {
    const { checkpoint, model } = await openFixture(shape, layout)
    const layers = model.config.layer_types.map(() => LAYER)
    for (const rows of [1, 5]) {
      const { instructions } = program(model, rows, true)
      // Ids may be those drawn before; the last row is wanted, and what it draws is kept for the next step.
      const head = rows > 1 ? ["take", "norm_matmul"] : ["norm_matmul"]
      const kinds = instructions.map(({ op }) => op.kind)
      expect(kinds).toEqual(["take", "embedding", ...layers.flat(), ...head, "argmax", "put"])
      const products = instructions.filter((instruction) => isKind(instruction, "matmul"))
      expect(products.every(({ operands }) => operands.residual)).toBe(true)
    }
    await checkpoint.close()
  })

  it.each(["mlx", "hf"] as const)(
    "%s: five launches a layer where webgpu decodes, on subgroups or matrices",
    async (format) => {
      const layers = 4
      const { model } = unreadModel("gpt-oss-20b", format, layers)
      const decoding = program(model, 1, true)
      for (const features of [H100, { ...H100, matrix: null }]) {
        const labels = (await plannedDispatches(decoding, features)).map(({ label }) => label)
        // Ids and embeddings before; the head, its largest logit in two launches, and where that is kept after.
        expect(labels).toHaveLength(2 + 5 * layers + 4)
        // The choice of experts runs with their products, on what the output projection's launch leaves.
        const kinds = [/^matvec .*norm/, /^attention/, /^matvec/, /^top 4, experts gate\+up/, /^experts down/]
        for (let layer = 0; layer < layers; layer++) {
          for (const [i, kind] of kinds.entries()) expect(labels[2 + 5 * layer + i]).toMatch(kind)
        }
      }
    },
  )

  it("appends to every cache exactly once, also where nobody reads the last attention", async () => {
    const { checkpoint, model } = await openFixture("three-of-ten", "mlx-q8")
    const pools = 2 * Math.ceil(model.config.layer_types.length / 2)
    for (const draws of [true, false]) {
      const { buffers, instructions } = program(model, 5, draws)
      const states = buffers.flatMap((buffer, i) => (buffer.kind === "storage" && buffer.access === "write" ? [i] : []))
      const appends = instructions.flatMap(({ op, results }) =>
        Object.keys(writesOf(op)).map((name) => results[name].buffer),
      )
      // Beside what is drawn: kept for the next step, and a result.
      expect(states).toHaveLength(pools + 1 + (draws ? 1 : 0))
      const layers = model.config.layer_types.length
      expect(appends).toHaveLength(2 * layers + (draws ? 1 : 0))
      const caches = buffers.flatMap((buffer, i) =>
        buffer.kind === "storage" && /^(keys|values)/.test(buffer.storage.name) ? [i] : [],
      )
      for (const cache of caches) {
        const sharers = appends.filter((buffer) => buffer === cache).length
        expect(sharers).toBeGreaterThanOrEqual(1)
        expect(sharers).toBeLessThanOrEqual(2)
      }
      expect(instructions.filter(({ op }) => op.kind === "kv_append")).toHaveLength(draws ? 0 : 2)
    }
    await checkpoint.close()
  })

  it("loses no fusion: every pass matches in every layer, and what it leaves alone is known", async () => {
    const { checkpoint, model } = await openFixture("three-of-ten", "mlx-q8")
    const layers = model.config.layer_types.length
    const explained = explain(optimise(trace(model, 1, true), { fusions }))
    expect(Object.fromEntries(explained.map(({ pass, matched }) => [pass, matched]))).toEqual({
      fuse_matmul: layers, // the output projection and the residual
      fuse_glu: layers,
      fuse_route: 2 * layers, // the ids and their weights
      fuse_norm_gather_glu: layers,
      fuse_gather_matmul_sum: layers,
      fuse_norm_matmul: 3 * layers + 1, // q, k and v; the head
      fuse_rope_attention: layers,
    })
    expect(explained.flatMap(({ pass, missed }) => missed.map(({ kind, count }) => [pass, kind, count]))).toEqual([
      ["fuse_matmul", "binary", layers], // the experts' sum, which fuse_gather_matmul_sum takes
      ["fuse_norm_matmul", "matmul", layers], // the output projection
    ])
    await checkpoint.close()
  })
})

describe("a layer with something unusual in it", () => {
  const missedBy = (pass: string, roots: Roots) =>
    explain(optimise(roots, { fusions })).find((explanation) => explanation.pass === pass)?.missed

  it("has a norm between heads and rotation: only the attention is left in parts", async () => {
    const { checkpoint, model } = await openFixture("three-of-ten", "mlx-q8")
    const layers = model.config.layer_types.length
    const roots = altered(trace(model, 1, true), (node) => {
      if (!isNode(node, "rope")) return null
      const { x, ...others } = node.operands
      const normed = apply({ kind: "rms_norm", eps: 1e-5 }, { x, weight: weight(model.config.head_dim) }).y
      return new Map([[node.results.y, apply(node.op, { x: normed, ...others }).y]])
    })
    const reason = "something stands between the products and their heads, or they are no norm's products side by side"
    expect(missedBy("fuse_rope_attention", roots)).toEqual([{ kind: "attention", reason, count: layers }])
    const kinds = kindsOf(optimise(roots, { fusions }))
    for (const kind of LAYER.filter((kind) => kind !== "rope_attention")) {
      const head = kind === "norm_matmul" ? 1 : 0
      expect([kind, kinds.filter((one) => one === kind).length]).toEqual([kind, layers + head])
    }
    const ends = ["take", "argmax", "put"]
    const parts = ["rms_norm", "rope", "rms_norm", "rope", "kv_append", "kv_append", "attention"]
    const rest = kinds.filter((kind) => !["embedding", "copy", ...ends, ...LAYER].includes(kind))
    expect(rest.sort()).toEqual(
      Array.from({ length: layers }, () => parts)
        .flat()
        .sort(),
    )
    await checkpoint.close()
  })

  it("has an adapter beside the queries' product: its norm still goes into all products", async () => {
    const { checkpoint, model } = await openFixture("three-of-ten", "mlx-q8")
    const layers = model.config.layer_types.length
    const { hidden_size, num_attention_heads, head_dim } = model.config
    const N = num_attention_heads * head_dim
    for (const isFirst of [false, true]) {
      const roots = altered(trace(model, 1, true), (node) => {
        const isQueries = isNode(node, "matmul") && nameOf(node.operands.weight.weight).includes("q_proj")
        if (!isQueries) return null
        const { x } = node.operands
        const adapter = matmul(matmul(x, weight(4, hidden_size)), weight(N, 4))
        const { y } = node.results
        const [a, b] = isFirst ? [adapter, y] : [y, adapter]
        return new Map([[y, apply({ kind: "binary", fn: "add" }, { a, b }).y]])
      })
      const reason =
        "something stands between the products and their heads, or they are no norm's products side by side"
      expect(missedBy("fuse_rope_attention", roots)).toEqual([{ kind: "attention", reason, count: layers }])
      const optimised = optimise(roots, { fusions })
      const kinds = kindsOf(optimised)
      expect(kinds).not.toContain("rms_norm")
      expect(kinds).not.toContain("binary")
      const products = lower(optimised).instructions.filter((instruction) => isKind(instruction, "norm_matmul"))
      expect(products.map(({ operands }) => operands.weights.length)).toEqual([...Array(layers).fill(4), 1])
      for (const kind of LAYER.slice(3)) expect(kinds.filter((one) => one === kind)).toHaveLength(layers)
    }
    await checkpoint.close()
  })
})

function nameOf({ node }: Value): string {
  return node.op.kind === "constant" ? node.op.storage.name : node.inputs.map(nameOf).join()
}
