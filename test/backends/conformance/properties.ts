import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Backend } from "../../../src/backends/backend.js"
import { apply, input, reshape, slice } from "../../../src/graph/build.js"
import { lower } from "../../../src/graph/lower.js"
import { optimise } from "../../../src/graph/optimise.js"
import { toleranceOf } from "../../../src/ir/describe.js"
import { mapWeight } from "../../../src/ir/operands.js"
import type { KernelKind } from "../../../src/ir/operations.js"
import type { WeightOf } from "../../../src/ir/type.js"
import type { Value } from "../../../src/ir/value.js"
import type { KvFormat } from "../../../src/tensor/kv_format.js"
import { cache } from "./attention_cases.js"
import { someActivation } from "./glu_cases.js"
import { Pages, pagesKept } from "./pages.js"
import { exactly, floats, formats, integers, Random, stored, weight } from "./random.js"
import { expectClose, relativeError, run, type Share, settingsOf, type WithBackend } from "./run.js"
import { sampled, someRows } from "./sampling_cases.js"

const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const format = fc.constantFrom(...formats())
const rows = fc.constantFrom(1, 2, 3, 7, 18, 33)

/** Two groups of the widest, so that every format divides it. */
const K = 256

const matmul = (x: Value, weight: WeightOf<Value>) => apply({ kind: "matmul" }, { x, weight }).y
const add = (a: Value, b: Value) => apply({ kind: "binary", fn: "add" }, { a, b }).y

async function values(backend: Backend, ...outputs: Value[]): Promise<Float32Array[]> {
  const [results] = await run({ name: "a property", outputs }, backend)
  return results as Float32Array[]
}

/** Both sides may be off by the tolerance of the kernels in them. */
function bound(backend: Backend, ...kinds: KernelKind[]): number {
  return 2 * kinds.reduce((sum, kind) => sum + backend.tolerance(toleranceOf(kind)), 0)
}

const rowOf = (values: Float32Array, row: number, n: number) => values.subarray(row * n, (row + 1) * n)

/** Declares what must hold between kernels, on random shapes: no other implementation is needed to see it broken. */
export function itHasTheProperties(withBackend: WithBackend, share: Share): void {
  const settings = settingsOf(share)
  describe("properties", () => {
    it(
      "fused products are their unfused composition",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, format, rows, async (seed, named, L) => {
            const random = new Random(seed)
            const bare = { ...named, format: { ...named.format, bias: false } }
            const x = input("x", [L, K], "float32")
            const product = matmul(x, weight(random, bare.format, [], 9, K, named.dtype))
            const whole = add(input("residual", [L, 9], "float32"), add(product, floats(random, [9], "float32", 3)))
            const ids = integers(random, [L, 2], 4)
            const [gate, up] = [0, 1].map(
              () =>
                apply(
                  { kind: "gather_matmul" },
                  { x, ids, weight: weight(random, named.format, [4], 5, K, named.dtype) },
                ).y,
            )
            const unfused = [whole, apply({ kind: "glu", activation: someActivation(random) }, { gate, up }).y]
            const { outputs: fused } = optimise({ outputs: unfused })
            expect(fused.map(({ node }) => node.op.kind)).toEqual(["matmul", "gather_glu"])
            const replays = [{ x: random.floats(L * K), residual: random.floats(L * 9) }]
            const [expected] = await run({ name: "unfused", outputs: unfused, replays }, backend)
            const [found] = await run({ name: "fused", outputs: fused, replays }, backend)
            expectClose(found[0], expected[0], bound(backend, "matmul"), "matmul")
            expectClose(found[1], expected[1], bound(backend, "gather_matmul", "gather_glu"), "gather_glu")
          }),
          settings,
        ),
      ),
    )

    it(
      "a row's product does not depend on the rows beside it",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, format, rows, async (seed, named, L) => {
            const random = new Random(seed)
            const x = floats(random, [L, K], "float32", 4)
            const operands = weight(random, named.format, [], 6, K, named.dtype)
            const alone = Array.from({ length: L }, (_, l) => matmul(slice(x, [l, 0], [l + 1, K]), operands))
            const [together, ...single] = await values(backend, matmul(x, operands), ...alone)
            for (const [l, row] of single.entries()) {
              expectClose(rowOf(together, l, 6), row, bound(backend, "matmul"), `row ${l} of ${L}, ${named.name}`)
            }
          }),
          settings,
        ),
      ),
    )

    it(
      "one-hot rows read a weight's columns, as the embedding of its rows does",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, format, async (seed, named) => {
            const random = new Random(seed)
            const bare = { ...named, format: { ...named.format, bias: false } }
            const operands = weight(random, bare.format, [], 7, K, named.dtype)
            const columns = random.integers(5, K)
            const oneHot = new Float32Array(5 * K)
            for (const [l, column] of columns.entries()) oneHot[l * K + column] = 1
            const all = stored("uint32", [7], new Uint8Array(ascending(0, 7).buffer))
            const [product, table] = await values(
              backend,
              matmul(exactly([5, K], oneHot), operands),
              apply({ kind: "embedding" }, { ids: all, weight: operands }).y,
            )
            const expected = Float32Array.from(product, (_, i) => table[(i % 7) * K + columns[Math.floor(i / 7)]])
            expectClose(product, expected, bound(backend, "matmul", "embedding"), named.name)
          }),
          settings,
        ),
      ),
    )

    it(
      "an expert's product is the matmul with its weight",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, format, rows, async (seed, named, L) => {
            const random = new Random(seed)
            const x = floats(random, [L, K])
            const operands = weight(random, named.format, [3], 5, K, named.dtype)
            const expert = random.below(3)
            const ids = stored("uint32", [L, 1], new Uint8Array(new Uint32Array(L).fill(expert).buffer))
            const own = mapWeight(operands, (operand) => {
              const [, ...shape] = operand.shape
              const start = operand.shape.map((_, axis) => (axis === 0 ? expert : 0))
              return reshape(slice(operand, start, [expert + 1, ...shape]), shape)
            })
            const [gathered, plain] = await values(
              backend,
              apply({ kind: "gather_matmul" }, { x, ids, weight: operands }).y,
              matmul(x, own),
            )
            expectClose(gathered, plain, bound(backend, "matmul", "gather_matmul"), named.name)
          }),
          settings,
        ),
      ),
    )

    it(
      "the largest k lead the order of all, and argmax leads them",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, fc.integer({ min: 1, max: 70 }), async (seed, n) => {
            const random = new Random(seed)
            const x = exactly([3, n], random.integers(3 * n, 1 + random.below(2 * n)))
            const k = 1 + random.below(n)
            const [some, all, first, sorted] = (
              await run(
                {
                  name: "top_k",
                  outputs: [
                    apply({ kind: "top_k", k }, { x }).ids,
                    apply({ kind: "top_k", k: n }, { x }).ids,
                    apply({ kind: "argmax" }, { x }).ids,
                    apply({ kind: "take_along_axis" }, { x, indices: apply({ kind: "top_k", k: n }, { x }).ids }).y,
                  ],
                },
                backend,
              )
            )[0]
            for (let row = 0; row < 3; row++) {
              const order = [...all.subarray(row * n, (row + 1) * n)]
              expect([...order].sort((a, b) => a - b)).toEqual([...ascending(0, n)])
              expect([...some.subarray(row * k, (row + 1) * k)]).toEqual(order.slice(0, k))
              expect(first[row]).toBe(order[0])
              const descending = [...sorted.subarray(row * n, (row + 1) * n)]
              expect(descending).toEqual([...descending].sort((a, b) => b - a))
              for (let i = 1; i < n; i++)
                if (descending[i - 1] === descending[i]) expect(order[i]).toBeGreaterThan(order[i - 1])
            }
          }),
          settings,
        ),
      ),
    )

    it(
      "a row's token does not depend on the rows beside it",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, fc.constantFrom(19, 700, 5000), fc.boolean(), async (seed, n, isMasked) => {
            const random = new Random(seed)
            const rows = someRows(random, 5, n, isMasked)
            const alone = rows.choices.map((choice, l) => ({
              n,
              logits: rows.logits.slice(l * n, (l + 1) * n),
              choices: [choice],
              mask: rows.mask?.slice(l * Math.ceil(n / 32), (l + 1) * Math.ceil(n / 32)),
            }))
            const outputs = [rows, ...alone].map(sampled)
            const [[together, ...single]] = await run({ name: "tokens", outputs }, backend)
            expect(single.map(([token]) => token)).toEqual([...together])
          }),
          settings,
        ),
      ),
    )

    it(
      "rotated queries and keys meet by their distance alone",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(seed, fc.nat(100_000), fc.nat(100), async (seed, shift, distance) => {
            const random = new Random(seed)
            const D = 32
            const inv_freq = exactly(
              [D / 2],
              Array.from({ length: D / 2 }, (_, i) => 10000 ** ((-2 * i) / D)),
            )
            const x = floats(random, [1, 2, D])
            const at = (position: number) =>
              apply(
                { kind: "rope", scale: 1 },
                { x, positions: stored("uint32", [1], new Uint8Array(Uint32Array.of(position).buffer)), inv_freq },
              ).y
            const [q, k, far, farther] = await values(backend, at(distance), at(0), at(shift + distance), at(shift))
            const dot = (a: Float32Array, b: Float32Array) =>
              rowOf(a, 0, D).reduce((sum, v, i) => sum + v * b[D + i], 0)
            const size = Math.hypot(...rowOf(q, 0, D)) * Math.hypot(...rowOf(k, 1, D))
            expect(Math.abs(dot(q, k) - dot(far, farther)) / size).toBeLessThanOrEqual(bound(backend, "rope"))
          }),
          settings,
        ),
      ),
    )
  })

  describe("attention", () => {
    it(
      "is the same in one step as in any steps, and in pages used again as in pages of its own",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 6 }),
            fc.integer({ min: 1, max: 40 }),
            fc.constantFrom(1, 3, 4, 16),
            seed,
            async (steps, window, page_size, seed) => {
              const length = steps.reduce((a, b) => a + b)
              const text = new Text(new Random(seed), length)
              const kept = pagesKept(window, Math.max(...steps), page_size)
              const whole = await text.attend(backend, [length], { page_size: 64, window })
              const tolerance = bound(backend, "attention")
              expectClose(await text.attend(backend, steps, { page_size, window }), whole, tolerance, "in steps")
              const again = await text.attend(backend, steps, { page_size, window, kept })
              expectClose(again, whole, tolerance, "pages used again, in steps")
              if (window < length) return
              const all = await text.attend(backend, steps, { page_size, window: null })
              expectClose(all, whole, tolerance, "without a window")
            },
          ),
          settings,
        ),
      ),
    )

    it(
      "over quantized caches is near what it is over float32",
      withBackend(async (backend) => {
        const text = new Text(new Random(11), 40)
        const plain = await text.attend(backend, [9, 1, 30])
        for (const [format, error] of [
          ["int8", 0.02],
          ["int4", 0.2],
        ] as const) {
          if (!backend.kvFormats.includes(format)) continue
          const found = await text.attend(backend, [9, 1, 30], { format })
          expect(relativeError(found, plain), format).toBeLessThanOrEqual(error)
          expect(relativeError(found, plain), format).toBeGreaterThan(error / 10)
        }
      }),
    )

    it(
      "goes on from an earlier position as if the later ones had never been",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(
            fc.integer({ min: 2, max: 30 }),
            fc.nat(12),
            fc.constantFrom(null, 1, 5, 13),
            seed,
            async (length, back, window, seed) => {
              const text = new Text(new Random(seed), length)
              const rewound = Math.min(back, length - 1)
              const kept = pagesKept(window, rewound + 1, 4)
              const straight = await text.attend(backend, Array(length).fill(1), { page_size: 4, window })
              const from = length - rewound - 1
              const again = await text.attend(backend, Array(length).fill(1), { page_size: 4, window, kept, from })
              expectClose(again, straight, bound(backend, "attention"), `back from ${length} by ${rewound + 1}`)
            },
          ),
          settings,
        ),
      ),
    )

    it(
      "keeps sequences apart: each sees what it would see alone",
      withBackend((backend) =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.nat(2), { minLength: 1, maxLength: 20 }),
            fc.constantFrom(null, 1, 4),
            seed,
            async (ids, window, seed) => {
              const texts = [0, 1, 2].map((id) => new Text(new Random(seed + id), ids.length))
              const together = await Text.attendTogether(backend, texts, ids, window)
              for (const [id, text] of texts.entries()) {
                const length = ids.filter((other) => other === id).length
                if (length === 0) continue
                const alone = await text.attend(backend, [length], { page_size: 8, window })
                const own = together.filter((_, l) => ids[l] === id).flatMap((row) => [...row])
                expectClose(
                  Float32Array.from(own),
                  alone.subarray(0, own.length),
                  bound(backend, "attention"),
                  `${ids}`,
                )
              }
            },
          ),
          settings,
        ),
      ),
    )

    it(
      "with sinks of -Infinity is attention without sinks, and large sinks take everything",
      withBackend(async (backend) => {
        const text = new Text(new Random(3), 9)
        const plain = await text.attend(backend, [9], { sink: null })
        const none = await text.attend(backend, [9], { sink: Number.NEGATIVE_INFINITY })
        expectClose(none, plain, bound(backend, "attention"), "sinks of -Infinity")
        const all = await text.attend(backend, [9], { sink: 1e4 })
        expect([...all].every((value) => value === 0)).toBe(true)
      }),
    )
  })
}

interface Attended {
  readonly page_size?: number
  /** Pages at a time: all that the text takes, unless fewer. */
  readonly kept?: number
  readonly window?: number | null
  /** The text from here on is fed again, after other keys and values had been in its place. */
  readonly from?: number
  readonly sink?: number | null
  readonly format?: KvFormat
}

/** 0, 1, 2, ... from `first` on. */
function ascending(first: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i)
}

/** Queries, keys and values of a text, to attend over in different ways. */
class Text {
  private static readonly HEADS = 4
  private static readonly KV_HEADS = 2
  private static readonly D = 16
  private readonly q: Float32Array
  private readonly k: Float32Array
  private readonly v: Float32Array

  constructor(
    random: Random,
    private readonly length: number,
  ) {
    this.q = random.floats(length * Text.HEADS * Text.D, 3)
    this.k = random.floats(length * Text.KV_HEADS * Text.D, 3)
    this.v = random.floats(length * Text.KV_HEADS * Text.D)
  }

  /** Attention of every position `[length, heads, D]`, the text fed in steps of so many rows. */
  async attend(
    backend: Backend,
    steps: readonly number[],
    { page_size = 4, kept, window = null, from, sink = 0.5, format = "float32" }: Attended = {},
  ): Promise<Float32Array> {
    const pages = new Pages({ sequences: 1, page_size, total: this.length, kept })
    const caches = ["k", "v"].map((name) => cache(name, format, [pages.slots, Text.KV_HEADS, Text.D]))
    const out = new Float32Array(this.q.length)
    const feed = async (first: number, L: number, stale: boolean) => {
      const cut = (values: Float32Array, heads: number) =>
        values.slice(first * heads * Text.D, (first + L) * heads * Text.D)
      const kv = (values: Float32Array) => cut(values, Text.KV_HEADS).map((value) => (stale ? 7 - value : value))
      const positions = Array.from({ length: L }, (_, i) => first + i)
      const result = await Text.step(backend, pages, caches, window, sink, {
        q: cut(this.q, Text.HEADS),
        k: kv(this.k),
        v: kv(this.v),
        ...pages.feed(L, Array(L).fill(0), positions),
      })
      out.set(result, first * Text.HEADS * Text.D)
    }
    let first = 0
    for (const L of steps) {
      await feed(first, L, from !== undefined && first >= from)
      first += L
    }
    for (let position = from ?? this.length; position < this.length; position++) await feed(position, 1, false)
    return out
  }

  /** The next row of the texts that `ids` name, one after another, all in one step: a row of attention each. */
  static async attendTogether(
    backend: Backend,
    texts: readonly Text[],
    ids: readonly number[],
    window: number | null,
  ): Promise<Float32Array[]> {
    const L = ids.length
    const positions = ids.map((id, l) => ids.slice(0, l).filter((other) => other === id).length)
    const rowsOf = (name: "q" | "k" | "v", heads: number) =>
      Float32Array.from(ids.flatMap((id, l) => [...rowOf(texts[id][name], positions[l], heads * Text.D)]))
    const pages = new Pages({ sequences: texts.length, page_size: 4, total: L })
    const caches = ["k", "v"].map((name) => cache(name, "float32", [pages.slots, Text.KV_HEADS, Text.D]))
    const attended = await Text.step(backend, pages, caches, window, 0.5, {
      q: rowsOf("q", Text.HEADS),
      k: rowsOf("k", Text.KV_HEADS),
      v: rowsOf("v", Text.KV_HEADS),
      ...pages.feed(L, ids, positions),
    })
    return ids.map((_, l) => rowOf(attended, l, Text.HEADS * Text.D))
  }

  private static async step(
    backend: Backend,
    pages: Pages,
    [keys, vals]: readonly Value[],
    window: number | null,
    sink: number | null,
    inputs: Record<string, Float32Array | Uint32Array>,
  ): Promise<Float32Array> {
    const L = inputs.positions.length
    const { slots, ...seen } = pages.inputs(L)
    const append = (state: Value, name: string) =>
      apply({ kind: "kv_append" }, { cache: state, x: input(name, [L, Text.KV_HEADS, Text.D], "float32"), slots }).cache
    const output = apply(
      { kind: "attention", scale: Text.D ** -0.5, window, page_size: pages.page_size },
      {
        q: input("q", [L, Text.HEADS, Text.D], "float32"),
        keys: append(keys, "k"),
        values: append(vals, "v"),
        ...seen,
        sinks: sink === null ? undefined : exactly([Text.HEADS], Array(Text.HEADS).fill(sink)),
      },
    ).y
    const program = lower({ outputs: [output] })
    const executable = await backend.compile(program)
    await executable.replay(inputs)
    executable.dispose()
    const result = new Float32Array(L * Text.HEADS * Text.D)
    await program.results[0].read(0, new Uint8Array(result.buffer))
    program.results[0].dispose()
    return result
  }
}
