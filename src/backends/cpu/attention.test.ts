import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { apply, input, state } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { isRotated, type KvFormat, kvVectorWords } from "../../tensor/kv_format.js"
import { Storage } from "../../tensor/storage.js"
import { Random } from "../../../test/backends/conformance/random.js"
import { CpuBackend } from "./backend.js"
import { loadKernels } from "./node_cpu.js"
import { NodeThreadPool } from "./node_thread_pool.js"
import { InlinePool } from "./thread_pool.js"

/** Positions of each sequence, all of them cached. */
const LENGTHS = [170, 90]
const MOST_ROWS = 40

interface Row {
  readonly sequence: number
  readonly position: number
}

interface Shape {
  readonly heads: number
  readonly kv: number
  readonly D: number
  readonly page_size: number
  readonly window: number | null
}

const SHAPES: readonly Shape[] = [
  { heads: 16, kv: 2, D: 64, page_size: 64, window: null },
  { heads: 8, kv: 2, D: 32, page_size: 64, window: 50 },
  { heads: 6, kv: 2, D: 24, page_size: 8, window: 9 },
]

const FORMATS: readonly KvFormat[] = ["float32", "float16", "int8", "int4"]

function cacheOf(name: string, format: KvFormat, [slots, kv, D]: readonly number[]): Storage {
  if (isRotated(format)) return new Storage(name, "uint32", [slots, kv, kvVectorWords(format, D)], null)
  return new Storage(name, format, [slots, kv, D], null)
}

/** Some runs of consecutive rows, in any order. */
const someRows = fc
  .array(fc.record({ sequence: fc.nat(1), start: fc.nat(88), length: fc.integer({ min: 1, max: 12 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((runs) =>
    runs
      .flatMap(({ sequence, start, length }) =>
        Array.from({ length }, (_, i): Row => ({ sequence, position: (start + i) % LENGTHS[sequence] })),
      )
      .slice(0, MOST_ROWS),
  )

/** What attention makes of rows, given caches that hold every position; not-a-number is among them. */
async function attentionOf(backend: CpuBackend, format: KvFormat, { heads, kv, D, page_size, window }: Shape) {
  const random = new Random(7)
  const perTable = Math.ceil(LENGTHS[0] / page_size)
  const slots = 2 * perTable * page_size
  const tables = Uint32Array.from({ length: 2 * perTable }, (_, i) => (i * 7) % (2 * perTable))
  if (new Set(tables).size !== tables.length) throw new Error("7 does not shuffle so many pages")
  const slotOf = ({ sequence, position }: Row) =>
    tables[sequence * perTable + Math.floor(position / page_size)] * page_size + (position % page_size)

  const all = LENGTHS.flatMap((length, sequence) =>
    Array.from({ length }, (_, position): Row => ({ sequence, position })),
  )
  const caches = ["keys", "values"].map((name) => cacheOf(name, format, [slots, kv, D]))
  const [keys, values] = caches.map(
    (cache) =>
      apply(
        { kind: "kv_append" },
        {
          cache: state(cache),
          x: input(cache.name, [all.length, kv, D], "float32"),
          slots: input("slots", [all.length], "uint32"),
        },
      ).cache,
  )
  const fill = await backend.compile(lower({ outputs: [], effects: [keys, values] }))
  const given = () => {
    const x = random.floats(all.length * kv * D, 3)
    x[(60 * kv + 1) * D + 3] = Number.NaN
    return x
  }
  await fill.replay({ keys: given(), values: given(), slots: Uint32Array.from(all, slotOf) })

  const L = { name: "rows", max: MOST_ROWS }
  const ids = (name: string) => input(name, [L], "uint32")
  const operands = {
    q: input("q", [L, heads, D], "float32"),
    keys: state(caches[0]),
    values: state(caches[1]),
    positions: ids("positions"),
    sequences: ids("sequences"),
    tables: input("tables", [2, perTable], "uint32"),
  }
  const program = lower({ outputs: [apply({ kind: "attention", scale: D ** -0.5, window, page_size }, operands).y] })
  const executable = await backend.compile(program)
  const queries = random.floats(LENGTHS[0] * heads * D, 3)
  return async (rows: readonly Row[]): Promise<Uint8Array> => {
    await executable.replay({
      q: Float32Array.from(
        rows.flatMap(({ position }) => [...queries.subarray(position * heads * D, (position + 1) * heads * D)]),
      ),
      positions: Uint32Array.from(rows, ({ position }) => position),
      sequences: Uint32Array.from(rows, ({ sequence }) => sequence),
      tables,
    })
    const bytes = new Uint8Array(rows.length * heads * D * 4)
    await program.results[0].read(0, bytes)
    return bytes
  }
}

describe("attention on the cpu: a row comes to the same bits alone and among others, on any number of threads", () => {
  const backends: CpuBackend[] = []
  beforeAll(async () => {
    const kernels = await loadKernels()
    const pools = [new InlinePool(kernels), new NodeThreadPool(kernels, 2), new NodeThreadPool(kernels, 5)]
    backends.push(...pools.map((pool) => new CpuBackend(pool, { part_bytes: 1 })))
  })
  afterAll(() => Promise.all(backends.map((backend) => backend.close())))

  const cases = SHAPES.flatMap((shape) => FORMATS.map((format) => ({ ...shape, format })))
  it.each(cases)(
    "$heads/$kv heads of $D, window $window, pages of $page_size, $format",
    async ({ format, ...shape }) => {
      const runs = await Promise.all(backends.map((backend) => attentionOf(backend, format, shape)))
      await fc.assert(
        fc.asyncProperty(someRows, async (rows) => {
          const alone: Uint8Array[] = []
          for (const row of rows) alone.push(await runs[0]([row]))
          for (const run of runs) expect(Buffer.concat(alone).equals(await run(rows))).toBe(true)
        }),
        { numRuns: 15 },
      )
    },
  )
})
