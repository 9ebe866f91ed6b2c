import { describe, expect, it } from "vitest"
import { Storage } from "../tensor/storage.js"
import { apply, constant, copy, input, reshape, slice, state } from "./build.js"
import { GraphError, type Value } from "./ir.js"
import { lower } from "./lower.js"
import { optimise } from "./optimise.js"

const dense = { quantization: null, bias: false } as const
const weight = (...shape: number[]) => constant(new Storage("w", "float32", shape, null))
const matmul = (x: Value, w: Value) => apply({ kind: "matmul", format: dense, residual: false }, [x, w])
const add = (a: Value, b: Value) => apply({ kind: "binary", fn: "add" }, [a, b])
const kinds = (outputs: Value[]) => lower(outputs).instructions.map(({ op }) => op.kind)

describe("shape inference", () => {
  const x = input("x", [3, 64], "float32")

  it("names the operation, what it expected and what it found", () => {
    expect(() => matmul(x, weight(8, 32))).toThrow(
      new GraphError("matmul: weight must be any dtype [8, 64], found float32 [8, 32]"),
    )
  })

  it("checks packed weights and their scales against the group size", () => {
    const format = { quantization: { mode: "mxfp4", bits: 4, group_size: 32 }, bias: false } as const
    const packed = constant(new Storage("w", "uint32", [10, 8], null))
    const scales = (n: number) => constant(new Storage("s", "uint8", [10, n], null))
    const op = { kind: "matmul", format, residual: false } as const
    expect(apply(op, [x, packed, scales(2)]).shape).toEqual([3, 10])
    expect(() => apply(op, [x, packed, scales(4)])).toThrow(/scales must be any dtype \[10, 2\]/)
  })

  it("refuses slices and reshapes that do not fit", () => {
    expect(() => slice(x, [0, 0], [4, 64])).toThrow(GraphError)
    expect(() => reshape(x, [-1, 7])).toThrow(GraphError)
    expect(reshape(x, [-1, 32]).shape).toEqual([6, 32])
  })
})

describe("passes", () => {
  const x = input("x", [3, 64], "float32")

  it("folds a bias and a residual into a matmul used once", () => {
    const fused = optimise([add(x, add(matmul(x, weight(64, 64)), weight(64)))])
    expect(kinds(fused)).toEqual(["matmul"])
    expect(fused[0].op).toMatchObject({ residual: true, format: { bias: true } })
  })

  it("leaves a product alone that something else reads too", () => {
    const product = matmul(x, weight(64, 64))
    expect(kinds(optimise([add(product, x), product]))).toEqual(["matmul", "binary"])
  })

  it("fuses gate, up and SwiGLU over the same rows and experts only", () => {
    const experts = input("ids", [3, 2], "uint32")
    const gather = (rows: Value) => apply({ kind: "gather_matmul", format: dense }, [rows, experts, weight(4, 32, 64)])
    const swiglu = (a: Value, b: Value) => apply({ kind: "swiglu", alpha: 1.702, limit: 7 }, [a, b])
    expect(kinds(optimise([swiglu(gather(x), gather(x))]))).toEqual(["gather_swiglu"])
    expect(kinds(optimise([swiglu(gather(x), gather(copy(x)))]))).not.toContain("gather_swiglu")
  })

  it("does not change the graph it was given", () => {
    const traced = [add(x, matmul(x, weight(64, 64)))]
    optimise(traced)
    expect(kinds(traced)).toEqual(["matmul", "binary"])
  })
})

describe("lowering", () => {
  it("turns slices of weights into strides, without a copy", () => {
    const x = input("x", [1, 64], "float32")
    const gate = slice(weight(2 * 8, 64), [1, 0], [16, 64], [2, 1])
    const { instructions } = lower([matmul(x, gate)])
    expect(instructions.map(({ op }) => op.kind)).toEqual(["matmul"])
    expect(instructions[0].inputs[1]).toMatchObject({ offset: 64 * 4, shape: [8, 64], strides: [128, 1] })
  })

  it("copies a strided value where a kernel wants it contiguous", () => {
    const x = slice(input("x", [4, 64], "float32"), [0, 0], [4, 64], [1, 2])
    expect(kinds([apply({ kind: "softmax" }, [x])])).toEqual(["copy", "softmax"])
  })

  it("updates states in place and keeps effects that nothing reads", () => {
    const cache = state(new Storage("keys", "float32", [16, 2, 8], null))
    const rows = input("k", [1, 2, 8], "float32")
    const append = apply({ kind: "kv_append" }, [cache, rows, input("positions", [1], "uint32")])
    const program = lower([], [append])
    expect(program.instructions).toHaveLength(1)
    const { inputs, output } = program.instructions[0]
    expect(output).toEqual(inputs[0])
    expect(program.buffers[output.buffer]).toMatchObject({ kind: "storage", access: "write" })
  })

  it("writes outputs into their results, and copies views into theirs", () => {
    const x = input("x", [2, 4], "float32")
    const y = apply({ kind: "softmax" }, [x])
    const program = lower([y, reshape(y, [8])])
    expect(program.instructions.map(({ op }) => op.kind)).toEqual(["softmax", "copy"])
    expect(program.results.map(({ shape }) => shape)).toEqual([[2, 4], [8]])
  })

  it("reuses arena memory only when asked to", () => {
    let x: Value = input("x", [1, 1024], "float32")
    for (let i = 0; i < 8; i++) x = apply({ kind: "unary", fn: "exp" }, [x])
    const arena = (reuseMemory: boolean) => lower([x], [], { reuseMemory }).buffers[0]
    expect(arena(true)).toMatchObject({ byteLength: 2 * 4096 })
    expect(arena(false)).toMatchObject({ byteLength: 7 * 4096 })
  })
})
