import { describe, expect, it } from "vitest"
import { FUSED_KINDS, type OperandsOf } from "../ir/operations.js"
import type { Operand } from "../ir/program.js"
import type { DType } from "../tensor/dtype.js"
import { Storage } from "../tensor/storage.js"
import { apply, constant, copy, input, reshape, slice, state } from "./build.js"
import { GraphError } from "../ir/graph_error.js"
import { isNode, type NodeOf, type Value } from "../ir/value.js"
import { lower } from "./lower.js"
import { optimise } from "./optimise.js"

const weight = (...shape: number[]) => constant(new Storage("w", "float32", shape, null))
const matmul = (x: Value, w: Value) => apply({ kind: "matmul" }, { x, weight: { quantization: null, weight: w } }).y
const add = (a: Value, b: Value) => apply({ kind: "binary", fn: "add" }, { a, b }).y
const only = (...outputs: Value[]) => optimise({ outputs })
const kinds = (outputs: readonly Value[]) => lower({ outputs }).instructions.map(({ op }) => op.kind)

const activation = { fn: "silu" } as const

describe("shape inference", () => {
  const x = input("x", [3, 64], "float32")

  it("names the operation, what it expected and what it found", () => {
    expect(() => matmul(x, weight(8, 32))).toThrow(
      new GraphError("matmul: weight must be any dtype [8, 64], found float32 [8, 32]"),
    )
  })

  it("checks packed weights and their scales against the group size", () => {
    const quantization = { mode: "mxfp4", bits: 4, group_size: 32 } as const
    const packed = constant(new Storage("w", "uint32", [10, 8], null))
    const scales = (n: number) => constant(new Storage("s", "uint8", [10, n], null))
    const product = (n: number) =>
      apply({ kind: "matmul" }, { x, weight: { quantization, weight: packed, scales: scales(n) } }).y
    expect(product(2).shape).toEqual([3, 10])
    expect(() => product(4)).toThrow(/scales must be any dtype \[10, 2\]/)
  })

  it("takes caches in float32, float16, or quantized to 8 or 4 bits", () => {
    const x = input("rows", [5, 2, 8], "float32")
    const append = (dtype: DType, ...shape: number[]) => {
      const cache = state(new Storage("cache", dtype, shape, null))
      return apply({ kind: "kv_append" }, { cache, x, slots: input("slots", [5], "uint32") }).cache
    }
    for (const dtype of ["float32", "float16"] as const) expect(append(dtype, 64, 2, 8)).toMatchObject({ dtype })
    for (const words of [1, 2]) expect(append("uint32", 64, 2, words)).toMatchObject({ dtype: "uint32" })
    expect(() => append("float32", 64, 3, 8)).toThrow(/x must be float32 \[\?, 3, \?\]/)
    expect(() => append("uint32", 64, 2, 8)).toThrow(/or uint32 of 2 or 1 words, found uint32 \[64, 2, 8\]/)
    expect(() => append("bfloat16", 64, 2, 8)).toThrow(/found bfloat16/)
    expect(() => append("float32", 4, 64, 2, 8)).toThrow(/cache must be any dtype \[\?, \?, \?\]/)
  })

  it("refuses to put rows into what is no state, or rows of another shape or dtype", () => {
    const total = state(new Storage("total", "float32", [3], null))
    const indices = input("indices", [2], "uint32")
    const put = (state: Value, x: Value) => apply({ kind: "put" }, { state, x, indices })
    expect(() => put(weight(3), weight(2))).toThrow(/must be a state, found constant/)
    expect(() => put(total, weight(4))).toThrow(GraphError)
    expect(() => put(total, input("ids", [2], "uint32"))).toThrow(GraphError)
  })

  it("refuses slices and reshapes that do not fit", () => {
    expect(() => slice(x, [0, 0], [4, 64])).toThrow(GraphError)
    expect(() => reshape(x, [-1, 7])).toThrow(GraphError)
    expect(reshape(x, [-1, 32]).shape).toEqual([6, 32])
  })
})

describe("rows that are told at replay", () => {
  const rows = { name: "rows", max: 8 }
  const x = input("x", [rows, 64], "float32")

  it("stand in shapes as symbols, through every kind of operation", () => {
    const heads = reshape(matmul(x, weight(32, 64)), [rows, -1, 8])
    expect(heads.shape).toEqual([rows, 4, 8])
    expect(reshape(heads, [rows, 32]).shape).toEqual([rows, 32])
    expect(slice(heads, [0, 1, 0], [rows, 3, 8], [1, 1, 2]).shape).toEqual([rows, 2, 4])
    expect(add(x, weight(64)).shape).toEqual([rows, 64])
    expect(add(weight(1, 64), x).shape).toEqual([rows, 64])
    expect(apply({ kind: "argmax" }, { x }).ids.shape).toEqual([rows])
  })

  it("stand on the leading axis only", () => {
    expect(() => input("x", [4, rows], "float32")).toThrow(
      new GraphError("input: a symbol stands on the leading axis only, found [4, rows]"),
    )
    const column = input("column", [rows, 1], "float32")
    const flat = input("flat", [rows], "float32")
    expect(() => add(column, flat)).toThrow(/leading axis only, found \[rows, rows\]/)
  })

  it("are no last axis for what reads along it", () => {
    const flat = input("flat", [rows], "float32")
    const message = "the last dimension must be known when the graph is built, found the symbol rows"
    const along: readonly (() => unknown)[] = [
      () => apply({ kind: "softmax" }, { x: flat }),
      () => apply({ kind: "reduce", fn: "sum" }, { x: flat }),
      () => apply({ kind: "argmax" }, { x: flat }),
      () => apply({ kind: "top_k", k: 1 }, { x: flat }),
      () => apply({ kind: "take_along_axis" }, { x: flat, indices: input("ids", [2], "uint32") }),
      () => apply({ kind: "take_along_axis" }, { x: weight(5), indices: input("ids", [rows], "uint32") }),
      () => apply({ kind: "rms_norm", eps: 1 }, { x: flat, weight: weight(8) }),
    ]
    for (const build of along) expect(build).toThrow(new GraphError(message))
    expect(() => apply({ kind: "argmax" }, { x: input("scalar", [], "float32") })).toThrow(GraphError)
  })

  it("stay in front of reshapes and whole in slices", () => {
    for (const dims of [[-1, 32], [8, 64], [4, rows], [rows, 7], [rows, -1, -1], [-1]]) {
      expect(() => reshape(x, dims), String(dims)).toThrow(GraphError)
    }
    expect(() => reshape(x, [rows, 7])).toThrow("reshape: [rows, 64] does not fold into [rows, 7]")
    expect(() => reshape(x, [-1, 32])).toThrow("reshape: [rows, 64] keeps its first dimension, found [-1, 32]")
    for (const [start, stop, step] of [
      [
        [1, 0],
        [rows, 64],
        [1, 1],
      ],
      [
        [0, 0],
        [rows, 64],
        [2, 1],
      ],
      [
        [0, 0],
        [4, 64],
        [1, 1],
      ],
      [
        [0, 0],
        [8, 64],
        [1, 1],
      ],
    ] as const) {
      expect(() => slice(x, start, stop, step)).toThrow(/slice: .* is outside \[rows, 64\]/)
    }
    expect(() => slice(input("y", [8, 64], "float32"), [0, 0], [rows, 64])).toThrow(GraphError)
  })

  it("do not mix: two symbols are two, whatever their names, and none is a number", () => {
    const others = { name: "others", max: 8 }
    const y = input("y", [others, 64], "float32")
    expect(() => add(x, y)).toThrow(new GraphError("shapes [rows, 64] and [others, 64] do not broadcast"))
    expect(() => add(x, input("y", [8, 64], "float32"))).toThrow(GraphError)
    const twin = input("twin", [{ ...rows }, 64], "float32")
    expect(() => add(x, twin)).toThrow("shapes [rows, 64] and [rows, 64] of another symbol do not broadcast")
    expect(() =>
      apply(
        { kind: "rope", scale: 1 },
        {
          x: reshape(x, [rows, 8, 8]),
          positions: input("positions", [others], "uint32"),
          inv_freq: weight(4),
        },
      ),
    ).toThrow("rope: positions must be uint32 [rows], found uint32 [others]")
    expect(() => matmulWith(y)).toThrow(/residual must be float32 \[rows, 64\]/)
  })

  const matmulWith = (residual: Value) =>
    apply({ kind: "matmul" }, { x, weight: { quantization: null, weight: weight(64, 64) }, residual }).y
})

describe("passes", () => {
  const x = input("x", [3, 64], "float32")

  it("folds a bias and a residual into a matmul used once", () => {
    const { outputs: fused } = only(add(x, add(matmul(x, weight(64, 64)), weight(64))))
    expect(kinds(fused)).toEqual(["matmul"])
    const { operands } = fused[0].node as NodeOf<"matmul">
    expect([operands.residual, operands.weight.bias].every(Boolean)).toBe(true)
  })

  it("leaves a product alone that something else reads too", () => {
    const product = matmul(x, weight(64, 64))
    expect(kinds(only(add(product, x), product).outputs)).toEqual(["matmul", "binary"])
  })

  it("fuses gate, up and SwiGLU over the same rows and experts only", () => {
    const experts = input("ids", [3, 2], "uint32")
    const gather = (rows: Value) =>
      apply(
        { kind: "gather_matmul" },
        { x: rows, ids: experts, weight: { quantization: null, weight: weight(4, 32, 64) } },
      ).y
    const glu = (a: Value, b: Value) => apply({ kind: "glu", activation }, { gate: a, up: b }).y
    expect(kinds(only(glu(gather(x), gather(x))).outputs)).toEqual(["gather_glu"])
    expect(kinds(only(glu(gather(x), gather(copy(x)))).outputs)).not.toContain("gather_glu")
  })

  it("refuses halves of a gated activation that are not float32 of one shape", () => {
    const glu = (gate: Value, up: Value) => apply({ kind: "glu", activation }, { gate, up })
    expect(() => glu(copy(x, "float16"), x)).toThrow("glu: gate must be float32")
    expect(() => glu(x, copy(x, "float16"))).toThrow("glu: up must be float32")
    expect(() => glu(x, input("other", [3, 63], "float32"))).toThrow("glu: up must be float32 [3, 64]")
  })

  it("does not change the graph it was given", () => {
    const traced = [add(x, matmul(x, weight(64, 64)))]
    only(...traced)
    expect(kinds(traced)).toEqual(["matmul", "binary"])
  })
})

describe("fusions", () => {
  const x = input("x", [3, 64], "float32")
  const norm = (x: Value) => apply({ kind: "rms_norm", eps: 1e-5 }, { x, weight: weight(64) }).y
  const all = new Set(FUSED_KINDS)
  const fused = (...outputs: Value[]) => kinds(optimise({ outputs }, { fusions: all }).outputs)

  it("are made only for those who ask", () => {
    expect(kinds(only(matmul(norm(x), weight(8, 64))).outputs)).toEqual(["rms_norm", "matmul"])
    expect(fused(matmul(norm(x), weight(8, 64)))).toEqual(["norm_matmul"])
  })

  it("leave a norm and its products alone that something else reads too", () => {
    const rows = norm(x)
    expect(fused(matmul(rows, weight(8, 64)), rows)).not.toContain("norm_matmul")
    for (const added of [x, weight(3, 64)]) {
      const residual = apply(
        { kind: "matmul" },
        { x: rows, weight: { quantization: null, weight: weight(64, 64) }, residual: added },
      ).y
      expect(fused(matmul(rows, weight(8, 64)), residual)).not.toContain("norm_matmul")
    }
  })

  it("leave logits alone that are read for more than the choice", () => {
    const choice = (logits: Value) => {
      const ids = apply({ kind: "top_k", k: 2 }, { x: logits }).ids
      return [
        ids,
        apply({ kind: "softmax" }, { x: apply({ kind: "take_along_axis" }, { x: logits, indices: ids }).y }).y,
      ]
    }
    const [first, second] = [matmul(norm(x), weight(8, 64)), matmul(norm(x), weight(8, 64))]
    expect(fused(...choice(first))).toContain("route")
    expect(fused(...choice(second), second)).not.toContain("route")
    const [, weights] = choice(matmul(norm(x), weight(8, 64)))
    expect(kinds(optimise({ outputs: [weights] }, { fusions: all }).outputs).filter((kind) => kind !== "copy")).toEqual(
      ["route"],
    )
    const third = matmul(norm(x), weight(8, 64))
    const others = apply({ kind: "take_along_axis" }, { x: third, indices: input("ids", [3, 2], "uint32") }).y
    const top = apply({ kind: "top_k", k: 2 }, { x: third }).ids
    expect(fused(top, apply({ kind: "softmax" }, { x: others }).y)).not.toContain("route")
  })

  const experts = input("experts", [3, 2], "uint32")

  it("leave a norm alone that others read beside the experts", () => {
    const expertWeight = () => ({ quantization: null, weight: weight(4, 8, 64) })
    const glu = (rows: Value) => {
      const operands = { x: rows, ids: experts, gate: expertWeight(), up: expertWeight() }
      return apply({ kind: "gather_glu", activation }, operands).y
    }
    const rows = norm(x)
    expect(fused(glu(norm(x)))).toEqual(["norm_gather_glu"])
    expect(fused(glu(rows), rows)).not.toContain("norm_gather_glu")
  })

  it("leave the experts' rows alone that others read, or that are not rows of their own", () => {
    const sum = (rows: Value) =>
      add(x, apply({ kind: "weighted_sum" }, { x: rows, weights: input("weights", [3, 2], "float32") }).y)
    const gather = (of: Value) =>
      apply(
        { kind: "gather_matmul" },
        { x: of, ids: experts, weight: { quantization: null, weight: weight(4, 64, 64) } },
      ).y
    const own = input("rows", [3, 2, 64], "float32")
    const rows = gather(own)
    expect(fused(sum(gather(own)))).toEqual(["gather_matmul_sum"])
    expect(fused(sum(rows), rows)).not.toContain("gather_matmul_sum")
    expect(fused(sum(gather(x)))).not.toContain("gather_matmul_sum")
  })

  /** Attention of 2 heads over 1 key-value head of 8, from one norm; `slots`: those of the keys, and of the values. */
  function attention(cut: (projections: Value[]) => Value[] = (parts) => parts, slots = [ids("slots")]) {
    const rows = norm(x)
    const positions = ids("positions")
    const caches = [0, 1].map(() => state(new Storage("cache", "float32", [16, 1, 8], null)))
    const heads = [16, 8, 8].map((n) => reshape(matmul(rows, weight(n, 64)), [3, -1, 8]))
    const invFreq = weight(4)
    const rope = (x: Value) => apply({ kind: "rope", scale: 1 }, { x, positions, inv_freq: invFreq }).y
    const [q, k, v] = cut([rope(heads[0]), rope(heads[1]), heads[2]])
    const [keys, values] = [k, v].map((rows, i) => {
      return apply({ kind: "kv_append" }, { cache: caches[i], x: rows, slots: slots[i] ?? slots[0] }).cache
    })
    const cached = { keys, values, positions, sequences: ids("sequences"), tables: input("tables", [2, 4], "uint32") }
    const op = { kind: "attention", scale: 1, window: null, page_size: 4 } as const
    return { attended: apply(op, { q, ...cached }).y, keys, values }
  }

  function ids(name: string) {
    return input(name, [3], "uint32")
  }

  it("take appends into attention, and their effects with them", () => {
    const { attended, keys, values } = attention()
    const roots = optimise({ outputs: [attended], effects: [keys, values] }, { fusions: all })
    expect(new Set(roots.effects!.map(({ node }) => node))).toEqual(new Set([roots.outputs[0].node]))
    expect(lower(roots).instructions.map(({ op }) => op.kind)).toEqual(["norm_matmul", "rope_attention"])
  })

  it("put q, k and v in order, whichever the graph reaches first", () => {
    const { attended, keys, values } = attention()
    const { effects } = optimise({ outputs: [], effects: [values, keys, attended] }, { fusions: all })
    const nodes = new Set(effects!.map(({ node }) => node))
    expect([...nodes].map(({ op }) => op.kind)).toEqual(["rope_attention"])
    const [fusedNode] = nodes as Set<NodeOf<"rope_attention">>
    const { weights } = (fusedNode.operands.qkv.node as NodeOf<"norm_matmul">).operands
    expect(weights.map(({ weight }) => weight)).toEqual([attended, keys, values].map(weightOf))
  })

  it("leave an append alone whose cache is an output, and heads that are not the whole product", () => {
    const { attended, keys } = attention()
    expect(kinds(optimise({ outputs: [attended, keys] }, { fusions: all }).outputs)).not.toContain("rope_attention")
    const mixed = attention(([q, k, v]) => [q, k, apply({ kind: "unary", fn: "neg" }, { x: v }).y])
    expect(fused(mixed.attended)).not.toContain("rope_attention")
    expect(fused(attention().attended)).toContain("rope_attention")
    const elsewhere = attention(undefined, [ids("slots"), ids("others")])
    expect(fused(elsewhere.attended)).not.toContain("rope_attention")
  })
})

/** The weight of the projection that attended heads, or a cache, come from. */
function weightOf({ node }: Value): Value {
  if (isNode(node, "matmul")) return node.operands.weight.weight
  return weightOf(isNode(node, "kv_append") ? node.operands.x : node.inputs[0])
}

describe("lowering", () => {
  const overwritten = (storage: Storage, x: Value) =>
    apply({ kind: "put" }, { state: state(storage), x, indices: input("indices", [3], "uint32") }).state

  it("reads a state before it is written, wherever its readers stand in the graph", () => {
    const positions = new Storage("positions", "float32", [3], null)
    const next = overwritten(positions, add(state(positions), weight(1)))
    const late = reshape(apply({ kind: "unary", fn: "exp" }, { x: reshape(state(positions), [3, 1]) }).y, [3])
    expect(lower({ outputs: [late], effects: [next] }).instructions.map(({ op }) => op.kind)).toEqual([
      "binary",
      "unary",
      "put",
      "copy",
    ])
    const before = kinds([next, state(positions)])
    expect(before.indexOf("copy")).toBeLessThan(before.indexOf("put"))
  })

  it("refuses to read a state as it was together with what it became", () => {
    const total = new Storage("total", "float32", [3], null)
    const after = overwritten(total, weight(3))
    expect(() => lower({ outputs: [add(state(total), after)] })).toThrow(GraphError)
    expect(kinds([add(copy(state(total)), after)])).toEqual(["copy", "put", "binary"])
  })

  it("turns slices of weights into strides, without a copy", () => {
    const x = input("x", [1, 64], "float32")
    const gate = slice(weight(2 * 8, 64), [1, 0], [16, 64], [2, 1])
    const { instructions } = lower({ outputs: [matmul(x, gate)] })
    expect(instructions.map(({ op }) => op.kind)).toEqual(["matmul"])
    expect((instructions[0].operands as OperandsOf<"matmul", Operand>).weight.weight).toMatchObject({
      offset: 64 * 4,
      shape: [8, 64],
      strides: [128, 1],
    })
  })

  it("copies a strided value where a kernel wants it contiguous", () => {
    const x = slice(input("x", [4, 64], "float32"), [0, 0], [4, 64], [1, 2])
    expect(kinds([apply({ kind: "softmax" }, { x }).y])).toEqual(["copy", "softmax"])
  })

  it("updates states in place and keeps effects that nothing reads", () => {
    const cache = state(new Storage("keys", "float32", [16, 2, 8], null))
    const rows = input("k", [1, 2, 8], "float32")
    const append = apply({ kind: "kv_append" }, { cache, x: rows, slots: input("slots", [1], "uint32") }).cache
    const program = lower({ outputs: [], effects: [append] })
    expect(program.instructions).toHaveLength(1)
    const { operands, results } = program.instructions[0]
    expect(results.cache).toEqual(operands.cache)
    expect(program.buffers[results.cache.buffer]).toMatchObject({ kind: "storage", access: "write" })
  })

  it("writes outputs into their results, and copies views into theirs", () => {
    const x = input("x", [2, 4], "float32")
    const y = apply({ kind: "softmax" }, { x }).y
    const program = lower({ outputs: [y, reshape(y, [8])] })
    expect(program.instructions.map(({ op }) => op.kind)).toEqual(["softmax", "copy"])
    expect(program.results.map(({ shape }) => shape)).toEqual([[2, 4], [8]])
  })

  it("reuses arena memory only when asked to", () => {
    let x: Value = input("x", [1, 1024], "float32")
    for (let i = 0; i < 8; i++) x = apply({ kind: "unary", fn: "exp" }, { x }).y
    const arena = (reuseMemory: boolean) => lower({ outputs: [x] }, { reuseMemory }).buffers[0]
    expect(arena(true)).toMatchObject({ byteLength: 2 * 4096 })
    expect(arena(false)).toMatchObject({ byteLength: 7 * 4096 })
  })
})
