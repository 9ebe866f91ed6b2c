import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apply, input, slice } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import type { Value } from "../../ir/value.js"
import type { WeightOf } from "../../ir/type.js"
import type { Storage } from "../../tensor/storage.js"
import { kernelsOf } from "../../../test/backends/cpu/kernels.js"
import { MXFP4, Random, stored, weight } from "../../../test/backends/conformance/random.js"
import { CpuBackend } from "./backend.js"
import { type Interleaving, placeOf } from "./interleaving.js"
import { hasExactDots } from "./kernel_module.js"
import { createCpuBackend } from "./node_cpu.js"
import { InlinePool } from "./thread_pool.js"

const EXPERTS = 3
const K = 160

const storageOf = ({ node: { op } }: Value): Storage => (op as { storage: Storage }).storage

/** A weight of experts, of whose scales some are zero, 2^-127, and 255, not a number, if that is wanted. */
function expertsWeight(random: Random, N: number, isExtreme = false): WeightOf<Value> {
  const made = weight(random, { quantization: MXFP4, bias: true }, [EXPERTS], N, K, "float32")
  if (!isExtreme) return made
  const scales = random.bytes(EXPERTS * N * (K / 32), 118, 128)
  for (let i = 0; i < scales.length; i += 37) scales[i] = i % 2 === 0 ? 255 : 0
  return { ...made, scales: stored("uint8", [EXPERTS, N, K / 32], scales) }
}

const rows = (L: number) => input("x", [L, K], "float32")
const copied = (x: Value) => apply({ kind: "copy", dtype: x.dtype }, { x }).y
const ids = (L: number) => input("ids", [L, 1], "uint32")
const productOf = (L: number, of: WeightOf<Value>) =>
  apply({ kind: "gather_matmul" }, { x: rows(L), ids: ids(L), weight: of }).y

/** The bits of the products of L rows, all with the second expert. */
async function productsOf(backend: CpuBackend, L: number, of: WeightOf<Value>, others: Value[] = []) {
  const program = lower({ outputs: [productOf(L, of), ...others] })
  const executable = await backend.compile(program)
  const x = new Random(L).floats(L * K)
  await executable.replay({ x, ids: new Uint32Array(L).fill(1) })
  return { bits: await bytesOf(program.results[0]), executable, x }
}

async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.byteLength)
  await storage.read(0, bytes)
  return bytes
}

/** The bits of floats, any not-a-number as the same. */
const canonical = (bytes: Uint8Array) =>
  [...new Float32Array(bytes.buffer.slice(0))].map((x) => (Object.is(x, -0) ? "-0" : String(x)))

describe("interleaved rows", () => {
  it("lie where they are said to, whatever the threads", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<1 | 4>(1, 4),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (unit, blocks, pieces, parts) => {
          const how: Interleaving = { rows: 4 * blocks, rowBytes: unit === 4 ? 16 * pieces : pieces, unit }
          const { module } = await kernelsOf("kernels")
          const memory = new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true })
          const { exports } = new WebAssembly.Instance(module, { env: { memory } })
          const before = new Random(blocks).bytes(how.rows * how.rowBytes)
          const bytes = new Uint8Array(memory.buffer, 65536, before.length)
          bytes.set(before)
          const interleave = exports.interleave as (...args: number[]) => void
          for (let part = 0; part < parts; part++) {
            interleave(65536, how.rows, how.rowBytes, unit, 65536 + 32768, part, parts)
          }
          expect([...before.keys()].map((at) => bytes[placeOf(at, how)])).toEqual([...before])
        },
      ),
    )
  })

  for (const kernels of ["kernels", "kernels_relaxed", "kernels_fused"] as const) {
    for (const isExtreme of [false, true]) {
      it(`give the bits of rows in order, with ${kernels}${isExtreme ? " and scales of zero and not-a-number" : ""}`, async ({
        skip,
      }) => {
        for (const L of [1, 2, 3, 6, 7, 8]) {
          const [interleaved, ordered] = [
            expertsWeight(new Random(5), 12, isExtreme),
            expertsWeight(new Random(5), 12, isExtreme),
          ]
          const loaded = await kernelsOf(kernels)
          if (kernels === "kernels_fused" && !hasExactDots(loaded)) return skip("dot products of bytes are others here")
          const backend = new CpuBackend(new InlinePool(loaded))
          const one = await productsOf(backend, L, interleaved)
          // Whoever copies a weight has to find its rows in order.
          const copies = [ordered.weight, ordered.scales!].map(copied)
          const other = await productsOf(backend, L, ordered, copies)
          const [here, there] = [interleaved, ordered].map((of) =>
            backend.residents.isInterleaved(storageOf(of.weight)),
          )
          expect([here, there]).toEqual([true, false])
          expect(canonical(one.bits)).toEqual(canonical(other.bits))
          await backend.close()
        }
      })
    }
  }

  it("are read back and written as they would lie in order", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const of = expertsWeight(new Random(6), 8)
    const [words, scales] = [storageOf(of.weight), storageOf(of.scales!)]
    const before = await Promise.all([bytesOf(words), bytesOf(scales)])
    await productsOf(backend, 1, of)
    expect(backend.residents.isInterleaved(words) && backend.residents.isInterleaved(scales)).toBe(true)
    expect(await Promise.all([bytesOf(words), bytesOf(scales)])).toEqual(before)
    const part = new Uint8Array(50)
    await words.read(333, part)
    expect(part).toEqual(before[0].slice(333, 383))
    scales.write(7, Uint8Array.of(1, 2, 3, 4, 5, 6))
    before[1].set([1, 2, 3, 4, 5, 6], 7)
    expect(await bytesOf(scales)).toEqual(before[1])
    await backend.close()
  })

  it("are put in order for a program that wants them so, and those before it say what to do", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const of = expertsWeight(new Random(7), 8)
    const words = storageOf(of.weight)
    const before = await bytesOf(words)
    const { executable, bits, x } = await productsOf(backend, 2, of)
    const copying = lower({ outputs: [copied(of.weight)] })
    await (await backend.compile(copying)).replay({})
    expect(await bytesOf(copying.results[0])).toEqual(before)
    expect(backend.residents.isInterleaved(words)).toBe(false)
    await expect(executable.replay({ x, ids: Uint32Array.of(1, 1) })).rejects.toThrow(/compile it again/)
    expect((await productsOf(backend, 2, of)).bits).toEqual(bits)
    await backend.close()
  })

  it("are looked up as embeddings, too", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const table = weight(new Random(8), { quantization: MXFP4, bias: false }, [], 8, K, "float32")
    const lookup = (precise: CpuBackend) => embeddings(precise, table)
    const product = apply({ kind: "matmul" }, { x: rows(1), weight: table }).y
    await (await backend.compile(lower({ outputs: [product] }))).replay({ x: new Random(1).floats(K) })
    expect(backend.residents.isInterleaved(storageOf(table.weight))).toBe(true)
    const exact = await createCpuBackend({ threads: 1, precision: "exact" })
    expect(await lookup(backend)).toEqual(await lookup(exact))
    expect(exact.residents.isInterleaved(storageOf(table.weight))).toBe(false)
    await Promise.all([backend.close(), exact.close()])
  })

  it("may be every second row, of two weights that take turns", async () => {
    const backend = await createCpuBackend({ threads: 2 })
    const made = (from: 0 | 1) => {
      const both = expertsWeight(new Random(9), 16)
      const turns = (x: Value) => slice(x, [0, from, 0], x.shape as number[], [1, 2, 1])
      return { ...both, weight: turns(both.weight), scales: turns(both.scales!), bias: undefined }
    }
    for (const from of [0, 1] as const) {
      const [interleaved, ordered] = [made(from), made(from)]
      const { bits } = await productsOf(backend, 3, interleaved)
      const copies = [ordered.weight, ordered.scales].map(copied)
      expect(bits).toEqual((await productsOf(backend, 3, ordered, copies)).bits)
      const [here, there] = [interleaved, ordered].map(({ weight }) =>
        backend.residents.isInterleaved(storageOf(weight.node.inputs[0])),
      )
      expect([here, there]).toEqual([true, false])
    }
    await backend.close()
  })

  it("are put in order for a program that would have others interleaved", async () => {
    const backend = await createCpuBackend({ threads: 1 })
    const both = { ...expertsWeight(new Random(10), 16), bias: undefined }
    const turns = (x: Value) => slice(x, [0, 0, 0], x.shape as number[], [1, 2, 1])
    const half = { ...both, weight: turns(both.weight), scales: turns(both.scales!) }
    const { bits } = await productsOf(backend, 2, both)
    expect(backend.residents.isInterleaved(storageOf(both.weight))).toBe(true)
    const every = (bytes: Uint8Array) => canonical(bytes).filter((_, i) => i % 2 === 0)
    expect(canonical((await productsOf(backend, 2, half)).bits)).toEqual(every(bits))
    expect(backend.residents.isInterleaved(storageOf(both.weight))).toBe(false)
    await backend.close()
  })

  it("are not made of rows that do not come in fours", async () => {
    const backend = await createCpuBackend({ threads: 1 })
    const odd = expertsWeight(new Random(9), 6)
    await productsOf(backend, 1, odd)
    expect(backend.residents.isInterleaved(storageOf(odd.weight))).toBe(false)
    await backend.close()
  })
})

async function embeddings(backend: CpuBackend, weight: WeightOf<Value>): Promise<Uint8Array> {
  const program = lower({ outputs: [apply({ kind: "embedding" }, { ids: input("ids", [5], "uint32"), weight }).y] })
  await (await backend.compile(program)).replay({ ids: Uint32Array.of(7, 0, 3, 6, 1) })
  return bytesOf(program.results[0])
}
