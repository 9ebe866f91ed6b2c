import fc from "fast-check"
import { describe, it } from "vitest"
import type { Backend, HostArray } from "../../../src/backends/backend.js"
import { apply, copy, input, reshape, slice, state } from "../../../src/graph/build.js"
import { lower } from "../../../src/graph/lower.js"
import { optimise } from "../../../src/graph/optimise.js"
import { toleranceOf } from "../../../src/ir/describe.js"
import type { Dim } from "../../../src/ir/dim.js"
import type { FusedKind, KernelKind } from "../../../src/ir/operations.js"
import type { WeightOf } from "../../../src/ir/type.js"
import { topologicalOrder, type Value } from "../../../src/ir/value.js"
import { type Shape, sizeOf } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"
import { someActivation } from "./glu_cases.js"
import { Pages } from "./pages.js"
import { AFFINE_8, everySecondRow, exactly, floats, integers, MXFP4, Random, weight } from "./random.js"
import { expectClose, type Result, type Share, settingsOf, type WithBackend } from "./run.js"

/** What a graph over rows is made of: twice the same random numbers and caches give the same graph. */
export interface Over {
  readonly random: Random
  readonly rows: Dim
  /** At least the rows of any step, and of all steps together. */
  readonly most: number
  readonly total: number
  /** A KV cache of this name. */
  readonly cache: (name: string, dims: Shape) => Value
}

export type Compose = (of: Over) => readonly Value[]

/** Numbers of rows, up and down: the first two, the most, and others. */
export const steps = fc
  .tuple(fc.constantFrom(2, 8, 33, 70), fc.array(fc.nat(), { minLength: 2, maxLength: 3 }))
  .map(([most, others]) => ({ most, counts: [1, most, ...others.map((n) => 1 + (n % most)), Math.min(2, most)] }))

/** Each run compiles several programs. */
export function fewerRuns(settings: ReturnType<typeof settingsOf>): ReturnType<typeof settingsOf> {
  return { ...settings, numRuns: Math.ceil(settings.numRuns / 2) }
}

/** Those that rows belong to. */
const SEQUENCES = 3

export const PAGE_SIZE = 8

/** Random values for a graph's inputs, step after step, by what their names say. */
export class Feeder {
  private readonly inputs: ReadonlyMap<string, Value>
  private readonly pages: Pages

  constructor(
    private readonly random: Random,
    outputs: readonly Value[],
    of: Pick<Over, "total">,
  ) {
    const nodes = topologicalOrder(outputs)
    this.inputs = new Map(nodes.flatMap(({ op, results: { y } }) => (op.kind === "input" ? [[op.name, y]] : [])))
    this.pages = pagesOf(of)
  }

  step(rows: number): Record<string, HostArray> {
    const known: Record<string, HostArray> = { ...this.pages.feed(rows), last: Uint32Array.of(rows - 1) }
    const fresh = ({ shape, dtype }: Value, name: string): HostArray => {
      const size = rows * sizeOf(shape.slice(1) as Shape)
      if (dtype === "uint32") return this.random.integers(size, 4)
      if (name === "uniform") return this.random.floats(size).map((value) => Math.abs(value) * 0.999)
      return this.random.floats(size, 3)
    }
    return Object.fromEntries([...this.inputs].map(([name, value]) => [name, known[name] ?? fresh(value, name)]))
  }
}

/**
 * Expects a graph that is compiled once and told its rows at each replay to give what graphs of just so many rows give.
 *
 * @param tolerance of each output; results of the other backends than `webgpu`, whose kernels depend on the rows that there may be, are the same bits
 */
export async function expectToldRows(
  backend: Backend,
  compose: Compose,
  { most, counts }: { readonly most: number; readonly counts: readonly number[] },
  seed: number,
  tolerance: number,
  isOptimised = false,
): Promise<void> {
  const total = counts.reduce((sum, count) => sum + count)
  const caches = [new Map<string, Storage>(), new Map<string, Storage>()]
  const compiled = async (rows: Dim, states: Map<string, Storage>) => {
    const cache = (name: string, dims: Shape) => {
      if (!states.has(name)) states.set(name, new Storage(name, "float32", dims, null))
      return state(states.get(name)!)
    }
    const outputs = compose({ random: new Random(seed), rows, most, total, cache })
    const program = lower(isOptimised ? optimise({ outputs }, backend) : { outputs })
    return { outputs, program, executable: await backend.compile(program) }
  }
  const sym = { name: "rows", max: most }
  const told = await compiled(sym, caches[0])
  const feeder = new Feeder(new Random(seed + 1), told.outputs, { total })
  for (const [step, count] of counts.entries()) {
    const fixed = await compiled(count, caches[1])
    const inputs = feeder.step(count)
    await fixed.executable.replay(inputs)
    await told.executable.replay(inputs)
    for (const [i, { dtype, shape }] of fixed.outputs.entries()) {
      const expected = await read(fixed.program.results[i], dtype)
      const all = await read(told.program.results[i], dtype)
      const found = told.outputs[i].shape[0] === sym ? all.subarray(0, expected.length) : all
      const what = `output ${i} ${dtype} [${shape}], step ${step} of ${counts} rows, at most ${most}`
      expectClose(found, expected, backend.name === "webgpu" ? tolerance : 0, what)
    }
    fixed.executable.dispose()
    for (const result of fixed.program.results) result.dispose()
  }
  told.executable.dispose()
  for (const result of told.program.results) result.dispose()
}

async function read(storage: Storage, dtype: Value["dtype"]): Promise<Result> {
  const bytes = new Uint8Array(storage.byteLength)
  await storage.read(0, bytes)
  if (dtype === "float32") return new Float32Array(bytes.buffer)
  return dtype === "uint32" ? new Uint32Array(bytes.buffer) : bytes
}

/** Two groups of the formats below. */
const K = 128

/** Computed rows `[rows, ...dims]`: what an operation reads lies among the intermediate values. */
function computed({ rows }: Over, name: string, ...dims: number[]): Value {
  return apply({ kind: "unary", fn: "neg" }, { x: input(name, [rows, ...dims], "float32") }).y
}

/** Columns `from`, `from + 2`, ... of rows. */
function everySecondColumn(x: Value, from: number): Value {
  const [rows, n] = x.shape
  return slice(x, [0, from], [rows, n], [1, 2])
}

const FORMATS = [null, AFFINE_8, MXFP4]

/** A weight of some format, with a bias or without. */
function someWeight({ random }: Over, lead: Shape, N: number): WeightOf<Value> {
  const format = { quantization: FORMATS[random.below(FORMATS.length)], bias: random.below(2) === 1 }
  return weight(random, format, lead, N, K, "float32")
}

/** The pages that sequences fill, and what names them. */
export function pagesOf({ total }: Pick<Over, "total">): Pages {
  return new Pages({ sequences: SEQUENCES, page_size: PAGE_SIZE, total: total + 2 * SEQUENCES })
}

/** Attention over what is appended: the whole text, or a window of it. */
function attended(of: Over, D: number): Value {
  const [heads, kv, window] = [4, 2, of.random.below(2) === 1 ? 5 : null]
  const { rows, random, cache } = of
  const pages = pagesOf(of)
  const { slots, ...seen } = pages.inputs(rows)
  const [keys, values] = ["k", "v"].map((name) => {
    const x = computed(of, name, kv, D)
    return apply({ kind: "kv_append" }, { cache: cache(name, [pages.slots, kv, D]), x, slots }).cache
  })
  const operands = { q: computed(of, "q", heads, D), keys, values, ...seen, sinks: floats(random, [heads]) }
  return apply({ kind: "attention", scale: D ** -0.5, window, page_size: PAGE_SIZE }, operands).y
}

type RowKind = Exclude<KernelKind, FusedKind>

/** What models may ask of rows: a new operation does not compile without. */
const OVER_ROWS: { readonly [P in RowKind]: Compose } = {
  copy: (of) => {
    const x = computed(of, "x", 6)
    const half = copy(x, "float16")
    return [
      half,
      copy(half, "float32"),
      copy(everySecondColumn(x, 1)),
      reshape(everySecondColumn(x, 0), [of.rows, -1, 1]),
    ]
  },
  unary: (of) => [apply({ kind: "unary", fn: "exp" }, { x: computed(of, "x", 2, 3) }).y],
  binary: (of) => {
    const [x, column, flat] = [computed(of, "x", 2, 6), computed(of, "column", 2, 1), computed(of, "flat")]
    const flats = [flat, input("other", [of.rows], "float32"), floats(of.random, [1])]
    const others = [x, column, floats(of.random, [6]), floats(of.random, [1, 2, 6]), floats(of.random, [2, 1])]
    return [...others.map((b) => [x, b]), ...flats.map((b) => [flat, b]), [floats(of.random, [6]), x]].map(
      ([a, b]) => apply({ kind: "binary", fn: "subtract" }, { a, b }).y,
    )
  },
  glu: (of) => {
    const [gate, up] = [0, 1].map((from) => everySecondColumn(computed(of, "x", 14), from))
    return [apply({ kind: "glu", activation: someActivation(of.random) }, { gate, up }).y]
  },
  reduce: (of) =>
    (["sum", "mean", "max"] as const).flatMap((fn) => [
      apply({ kind: "reduce", fn }, { x: computed(of, "x", 33) }).y,
      apply({ kind: "reduce", fn }, { x: computed(of, "deep", 2, 5) }).y,
    ]),
  softmax: (of) => [computed(of, "x", 33), computed(of, "deep", 2, 5)].map((x) => apply({ kind: "softmax" }, { x }).y),
  rms_norm: (of) =>
    [computed(of, "x", 65), computed(of, "deep", 2, 8)].map(
      (x) => apply({ kind: "rms_norm", eps: 1e-5 }, { x, weight: floats(of.random, [x.shape.at(-1) as number]) }).y,
    ),
  argmax: (of) =>
    [computed(of, "x", 1030), computed(of, "deep", 2, 5)].map((x) => apply({ kind: "argmax" }, { x }).ids),
  top_k: (of) =>
    [computed(of, "x", 32), computed(of, "wide", 515)].map((x) => apply({ kind: "top_k", k: 4 }, { x }).ids),
  take_along_axis: (of) => {
    const indices = input("ids", [of.rows, 3], "uint32")
    return [apply({ kind: "take_along_axis" }, { x: computed(of, "x", 7), indices }).y]
  },
  take: (of) => [
    apply({ kind: "take" }, { x: computed(of, "x", 2, 5), indices: input("last", [1], "uint32") }).y,
    apply({ kind: "take" }, { x: floats(of.random, [4, 9]), indices: input("ids", [of.rows], "uint32") }).y,
    apply({ kind: "take" }, { x: integers(of.random, [4], 100), indices: input("ids", [of.rows], "uint32") }).y,
    apply(
      { kind: "take" },
      { x: floats(of.random, [4, 3]), indices: input("ids", [of.rows], "uint32"), otherwise: computed(of, "other", 3) },
    ).y,
  ],
  put: (of) => {
    // Slots are the one input of which no two rows have the same.
    const indices = input("slots", [of.rows], "uint32")
    const state = of.cache("state", [pagesOf(of).slots, 5])
    return [apply({ kind: "put" }, { state, x: computed(of, "x", 5), indices }).state]
  },
  adjust_logits: (of) => {
    const [rows, ids] = [input("slots", [of.rows], "uint32"), input("ids", [of.rows], "uint32")]
    const numbers = { bias: computed(of, "bias"), factor: computed(of, "factor"), shift: computed(of, "shift") }
    const one = { bias: exactly([1], [0.5]), factor: exactly([1], [2]), shift: exactly([1], [-1]) }
    const last = { rows: input("last", [1], "uint32"), ids: integers(of.random, [1], 19), ...one }
    return [
      apply({ kind: "adjust_logits" }, { logits: floats(of.random, [pagesOf(of).slots, 7]), rows, ids, ...numbers }).y,
      apply({ kind: "adjust_logits" }, { logits: computed(of, "logits", 19), ...last }).y,
    ]
  },
  sample: (of) => {
    const [temperature, uniform] = [computed(of, "temperature"), input("uniform", [of.rows], "float32")]
    const [top_p, min_p] = ["top_p", "min_p"].map(
      (name) => apply({ kind: "unary", fn: "sigmoid" }, { x: input(name, [of.rows], "float32") }).y,
    )
    const choices = {
      temperature: apply({ kind: "unary", fn: "abs" }, { x: temperature }).y,
      ...{ top_k: input("ids", [of.rows], "uint32"), top_p, min_p, uniform },
    }
    const mask = integers(of.random, [4, 1], 2 ** 32)
    const masks = apply({ kind: "take" }, { x: mask, indices: input("row", [of.rows], "uint32") }).y
    return [19, 3000].map(
      (n) =>
        apply(
          { kind: "sample" },
          { logits: computed(of, `logits ${n}`, n), ...choices, mask: n === 19 ? masks : undefined },
        ).ids,
    )
  },
  embedding: (of) => {
    const ids = input("ids", [of.rows], "uint32")
    return [apply({ kind: "embedding" }, { ids, weight: someWeight(of, [], 4) }).y]
  },
  matmul: (of) => {
    const [x, residual] = [computed(of, "x", K), computed(of, "residual", 9)]
    const weight = someWeight(of, [], 9)
    return [undefined, residual].map((residual) => apply({ kind: "matmul" }, { x, weight, residual }).y)
  },
  gather_matmul: (of) => {
    const ids = input("ids", [of.rows, 2], "uint32")
    const weight = someWeight(of, [4], 5)
    return [computed(of, "x", K), computed(of, "each", 2, K)].map(
      (x) => apply({ kind: "gather_matmul" }, { x, ids, weight }).y,
    )
  },
  gather_glu: (of) => {
    const [x, ids] = [computed(of, "x", K), input("ids", [of.rows, 2], "uint32")]
    const both = someWeight(of, [4], 10)
    const [gate, up] = [0, 1].map((first) => everySecondRow(both, 1, first))
    return [apply({ kind: "gather_glu", activation: someActivation(of.random) }, { x, ids, gate, up }).y]
  },
  weighted_sum: (of) => [
    apply({ kind: "weighted_sum" }, { x: computed(of, "x", 3, 17), weights: computed(of, "weights", 3) }).y,
  ],
  rope: (of) => {
    const inv_freq = exactly([4], [1, 0.1, 0.01, 0.001])
    const x = reshape(computed(of, "x", 24), [of.rows, -1, 8])
    return [apply({ kind: "rope", scale: 1.1 }, { x, positions: input("positions", [of.rows], "uint32"), inv_freq }).y]
  },
  kv_append: (of) => {
    const { slots } = pagesOf(of)
    const operands = { x: computed(of, "x", 2, 4), slots: input("slots", [of.rows], "uint32") }
    return [apply({ kind: "kv_append" }, { cache: of.cache("cache", [slots, 2, 4]), ...operands }).cache]
  },
  attention: (of) => [attended(of, 8)],
}

/** Declares that programs over a symbol give, for each number of rows that they are told, what that number's own would. */
export function itTakesRowsAtReplay(withBackend: WithBackend, share: Share): void {
  describe("with rows told at replay", () => {
    for (const kind of Object.keys(OVER_ROWS) as RowKind[]) {
      it(
        kind,
        withBackend((backend) =>
          fc.assert(
            fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 - 1 }), steps, (seed, steps) =>
              expectToldRows(backend, OVER_ROWS[kind], steps, seed, 2 * backend.tolerance(toleranceOf(kind))),
            ),
            fewerRuns(settingsOf(share)),
          ),
        ),
      )
    }
  })
}
