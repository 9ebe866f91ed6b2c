import { describe, expect, it } from "vitest"
import { BackendError, type Executable, type HostArray } from "../../../src/backends/backend.js"
import { ReferenceBackend } from "../../../src/backends/reference/backend.js"
import { apply, constant, input, state } from "../../../src/graph/build.js"
import { lower } from "../../../src/graph/lower.js"
import { NO_INDEX } from "../../../src/ir/specs/rows.js"
import { memoryStats, Storage } from "../../../src/tensor/storage.js"
import { floats, MXFP4, Random, storageOf, weight } from "./random.js"
import type { WithBackend } from "./run.js"

async function floatsOf(storage: Storage): Promise<number[]> {
  const values = new Float32Array(storage.byteLength / 4)
  await storage.read(0, new Uint8Array(values.buffer))
  return [...values]
}

/** `x + x` over an input of two rows of three. */
function doubling() {
  const x = input("x", [2, 3], "float32")
  return lower({ outputs: [apply({ kind: "binary", fn: "add" }, { a: x, b: x }).y] })
}

/** Takes a GPU longer than JavaScript takes to ask for the result. */
function slow() {
  let x = constant(new Storage("x", "float32", [300, 1000], null))
  for (let i = 0; i < 8; i++) x = apply({ kind: "unary", fn: "exp" }, { x }).y
  return lower({ outputs: [x] })
}

/** Appends a row of four to a cache of three slots. */
function appending(cache: Storage) {
  const row = input("row", [1, 1, 4], "float32")
  return lower({
    outputs: [],
    effects: [
      apply({ kind: "kv_append" }, { cache: state(cache), x: row, slots: input("slots", [1], "uint32") }).cache,
    ],
  })
}

const rowAt = (slot: number, value: number) => ({
  row: new Float32Array(4).fill(value),
  slots: Uint32Array.of(slot),
})

const ramp = (n: number) => Float32Array.from({ length: n }, (_, i) => i)

/** Refuses, and still runs what is right afterwards. */
async function refuses(executable: Executable, bad: Record<string, HostArray>, good: Record<string, HostArray>) {
  await expect(executable.replay(bad)).rejects.toThrow(BackendError)
  await executable.replay(good)
}

/** Declares what `Backend` and `Executable` promise apart from results. */
export function itKeepsTheContract(withBackend: WithBackend): void {
  describe("contract", () => {
    it(
      "names an input that does not fit, what was expected and what was found",
      withBackend(async (backend) => {
        const program = doubling()
        const executable = await backend.compile(program)
        const message = (found: string) => new BackendError(`input x: expected float32 of 6, found ${found}`)
        await expect(executable.replay({})).rejects.toThrow(message("nothing"))
        await expect(executable.replay({ x: ramp(5) })).rejects.toThrow(message("float32 of 5"))
        await expect(executable.replay({ x: new Uint32Array(6) })).rejects.toThrow(message("uint32 of 6"))
        await executable.replay({ x: ramp(6) })
        expect(await floatsOf(program.results[0])).toEqual([0, 2, 4, 6, 8, 10])
      }),
    )

    it(
      "takes an input that is a window of a larger array",
      withBackend(async (backend) => {
        const program = doubling()
        const executable = await backend.compile(program)
        await executable.replay({ x: ramp(9).subarray(2, 8) })
        expect(await floatsOf(program.results[0])).toEqual([4, 6, 8, 10, 12, 14])
      }),
    )

    it(
      "refuses ids out of range, and runs on",
      withBackend(async (backend) => {
        const random = new Random(1)
        const mxfp4 = { quantization: MXFP4, bias: false } as const
        const ids = input("ids", [1, 2], "uint32")
        const x = floats(random, [1, 64])
        const table = input("ids", [2], "uint32")
        const graphs = [
          apply({ kind: "embedding" }, { ids: table, weight: { quantization: null, weight: floats(random, [3, 8]) } })
            .y,
          apply({ kind: "embedding" }, { ids: table, weight: weight(random, mxfp4, [], 3, 64, "float32") }).y,
          apply(
            { kind: "gather_matmul" },
            { x, ids, weight: { quantization: null, weight: floats(random, [3, 5, 64]) } },
          ).y,
          apply({ kind: "gather_matmul" }, { x, ids, weight: weight(random, mxfp4, [3], 5, 64, "float32") }).y,
          apply(
            { kind: "gather_glu", activation: { fn: "silu" } },
            {
              x,
              ids,
              gate: weight(random, mxfp4, [3], 5, 64, "float32"),
              up: weight(random, mxfp4, [3], 5, 64, "float32"),
            },
          ).y,
          apply({ kind: "take" }, { x: floats(random, [3, 5]), indices: table }).y,
          apply({ kind: "take_along_axis" }, { x: floats(random, [1, 3]), indices: ids }).y,
        ]
        for (const output of graphs) {
          const executable = await backend.compile(lower({ outputs: [output] }))
          // An embedding takes NO_INDEX, but nothing near it.
          for (const id of [3, output.node.op.kind === "embedding" ? NO_INDEX - 1 : NO_INDEX]) {
            await refuses(executable, { ids: Uint32Array.of(0, id) }, { ids: Uint32Array.of(0, 2) })
          }
        }
      }),
    )

    it(
      "refuses ids out of range where NO_INDEX picks nothing, and runs on",
      withBackend(async (backend) => {
        const random = new Random(2)
        const [x, logits] = [floats(random, [2, 5]), floats(random, [3, 5])]
        const ids = input("ids", [2], "uint32")
        const [bias, factor, shift] = [0, 1, 2].map(() => floats(random, [2]))
        const columns = storageOf("columns", "uint32", [2], new Uint8Array(Uint32Array.of(0, 1).buffer))
        const graphs = [
          apply({ kind: "take" }, { x: floats(random, [3, 5]), indices: ids, otherwise: x }).y,
          apply({ kind: "put" }, { state: state(new Storage("state", "float32", [3, 5], null)), x, indices: ids })
            .state,
          apply({ kind: "adjust_logits" }, { logits, rows: ids, ids: constant(columns), bias, factor, shift }).y,
        ]
        for (const output of graphs) {
          const executable = await backend.compile(lower({ outputs: [output] }))
          await refuses(executable, { ids: Uint32Array.of(0, 3) }, { ids: Uint32Array.of(NO_INDEX, NO_INDEX) })
        }
        const places = { rows: constant(columns), ids, bias, factor, shift }
        const adjusted = apply({ kind: "adjust_logits" }, { logits, ...places }).y
        const executable = await backend.compile(lower({ outputs: [adjusted] }))
        for (const id of [5, NO_INDEX]) {
          await refuses(executable, { ids: Uint32Array.of(0, id) }, { ids: Uint32Array.of(0, 4) })
        }
      }),
    )

    it(
      "refuses to take a row that there may be but that this replay has not",
      withBackend(async (backend) => {
        const x = input("x", [{ name: "rows", max: 4 }, 3], "float32")
        const output = apply({ kind: "take" }, { x, indices: input("ids", [1], "uint32") }).y
        const executable = await backend.compile(lower({ outputs: [output] }))
        const fed = (rows: number, id: number) => ({ x: ramp(3 * rows), ids: Uint32Array.of(id) })
        await executable.replay(fed(4, 3))
        await refuses(executable, fed(2, 2), fed(2, 1))
        await executable.replay(fed(3, 2))
      }),
    )

    it(
      "refuses wrong numbers of rows, and runs on",
      withBackend(async (backend) => {
        const rows = { name: "rows", max: 4 }
        const [x, y] = ["x", "y"].map((name) => input(name, [rows, 3], "float32"))
        const program = lower({ outputs: [apply({ kind: "binary", fn: "add" }, { a: x, b: y }).y] })
        const executable = await backend.compile(program)
        const fed = (a: number, b: number) => ({ x: ramp(a), y: ramp(b) })
        for (const bad of [fed(0, 0), fed(4, 4), fed(15, 15), fed(6, 3)]) await refuses(executable, bad, fed(6, 6))
        await executable.replay(fed(3, 3))
        expect((await floatsOf(program.results[0])).slice(0, 3)).toEqual([0, 2, 4])
      }),
    )

    it(
      "keeps states from replay to replay and program to program",
      withBackend(async (backend) => {
        const cache = new Storage("cache", "float32", [3, 1, 4], null)
        const first = await backend.compile(appending(cache))
        const second = await backend.compile(appending(cache))
        await first.replay(rowAt(0, 1))
        await second.replay(rowAt(1, 2))
        await first.replay(rowAt(0, 4))
        expect(await floatsOf(cache)).toEqual([4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0])
        first.dispose()
        await second.replay(rowAt(2, 3))
        expect(await floatsOf(cache)).toEqual([4, 4, 4, 4, 2, 2, 2, 2, 3, 3, 3, 3])
      }),
    )

    it(
      "lets a state grow, which starts with the bytes of the old one as they are by then",
      withBackend(async (backend) => {
        const cache = new Storage("cache", "float32", [3, 1, 4], null)
        const before = await backend.compile(appending(cache))
        await before.replay(rowAt(0, 1))
        const grown = Storage.extending(cache, "grown", [5, 1, 4])
        await before.replay(rowAt(2, 3))
        await backend.makeResident([grown])
        cache.dispose()
        const after = await backend.compile(appending(grown))
        await after.replay(rowAt(4, 5))
        expect(await floatsOf(grown)).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0, 5, 5, 5, 5])
      }),
    )

    it(
      "reads what one replay gave while others follow",
      withBackend(async (backend) => {
        const program = doubling()
        const executable = await backend.compile(program)
        const reads: Promise<number[]>[] = []
        for (let i = 0; i < 5; i++) {
          await executable.replay({ x: new Float32Array(6).fill(i) })
          reads.push(floatsOf(program.results[0]))
        }
        expect((await Promise.all(reads)).map(([first]) => first)).toEqual([0, 2, 4, 6, 8])
      }),
    )

    it(
      "has run all that was submitted once its fence has passed",
      withBackend(async (backend) => {
        await backend.fence()
        const program = slow()
        const executable = await backend.compile(program)
        const part = new Uint8Array(4)
        // The first small read may have to wait for more than its turn.
        await program.results[0].read(0, part)
        for (let i = 0; i < backend.replaysAhead; i++) await executable.replay({})
        let isRead = false
        const read = program.results[0].read(0, part).then(() => {
          isRead = true
        })
        await backend.fence()
        await new Promise((resolve) => setTimeout(resolve))
        expect(isRead).toBe(true)
        await read
      }),
    )

    it(
      "refuses to run what was disposed of, once or twice, and runs what is left",
      withBackend(async (backend) => {
        const [program, other] = [doubling(), doubling()]
        const [disposed, left] = [await backend.compile(program), await backend.compile(other)]
        disposed.dispose()
        disposed.dispose()
        await expect(disposed.replay({ x: ramp(6) })).rejects.toThrow(BackendError)
        await left.replay({ x: ramp(6) })
        expect(await floatsOf(other.results[0])).toEqual([0, 2, 4, 6, 8, 10])
      }),
    )

    it(
      "shares storages with another backend, and refuses to run on bytes that have become stale",
      withBackend(async (backend) => {
        const other = new ReferenceBackend()
        const cache = new Storage("cache", "float32", [3, 1, 4], null)
        const here = await backend.compile(appending(cache))
        await here.replay(rowAt(0, 1))
        const there = await other.compile(appending(cache))
        await there.replay(rowAt(1, 2))
        expect(cache.replicaIn(backend)).toBeUndefined()
        await expect(here.replay(rowAt(2, 3))).rejects.toThrow(BackendError)
        const again = await backend.compile(appending(cache))
        await again.replay(rowAt(2, 3))
        expect(await floatsOf(cache)).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
        await expect(there.replay(rowAt(0, 9))).rejects.toThrow(BackendError)
        await other.makeResident([cache])
        await expect(there.replay(rowAt(0, 9))).rejects.toThrow(BackendError)
      }),
    )

    it(
      "copies a storage once, and says how far it is",
      withBackend(async (backend) => {
        const storages = [3, 50_000, 17].map((n) =>
          storageOf(`of ${n}`, "float32", [n], new Uint8Array(ramp(n).buffer)),
        )
        const seen: [number, number][] = []
        await backend.makeResident(storages, { onProgress: (loaded, total) => void seen.push([loaded, total]) })
        const total = 4 * (3 + 50_000 + 17)
        expect(seen.map(([, of]) => of)).toEqual([total, total, total])
        expect(seen.map(([loaded]) => loaded)).toEqual(seen.map(([loaded]) => loaded).sort((a, b) => a - b))
        expect(seen[2][0]).toBe(total)
        const { copies } = memoryStats()
        await backend.makeResident([...storages, storages[0]])
        await backend.compile(lower({ outputs: [apply({ kind: "unary", fn: "neg" }, { x: constant(storages[1]) }).y] }))
        expect(memoryStats().copies).toBe(copies)
        for (const storage of storages) storage.dispose()
      }),
    )

    it(
      "stops loading when told to or when a read fails, and can begin again",
      withBackend(async (backend) => {
        const abort = new AbortController()
        const bytes = new Uint8Array(ramp(5).buffer)
        const tensors = Array.from({ length: 40 }, (_, i) => storageOf(`tensor ${i}`, "float32", [5], bytes))
        const stop = { signal: abort.signal, onProgress: () => abort.abort(new Error("enough")) }
        await expect(backend.makeResident(tensors, stop)).rejects.toThrow("enough")
        let broken = true
        const moody = new Storage("moody", "float32", [5], {
          read: async (_, into) => {
            if (broken) throw new Error("the disk is gone")
            into.set(bytes)
          },
        })
        await expect(backend.makeResident([moody, ...tensors])).rejects.toThrow("the disk is gone")
        broken = false
        await backend.makeResident([moody, ...tensors])
        expect([moody, ...tensors].every((storage) => storage.replicaIn(backend))).toBe(true)
        expect(await floatsOf(tensors[39])).toEqual([0, 1, 2, 3, 4])
      }),
    )

    it(
      "holds the results alone, as fresh as the last replay",
      withBackend(async (backend) => {
        const program = doubling()
        const [result] = program.results
        const executable = await backend.compile(program)
        await executable.replay({ x: ramp(6) })
        const other = new ReferenceBackend()
        await other.makeResident([result])
        await executable.replay({ x: new Float32Array(6).fill(1) })
        expect(result.replicaIn(other)).toBeUndefined()
        expect(await floatsOf(result)).toEqual([2, 2, 2, 2, 2, 2])
      }),
    )

    it(
      "reads back any part of a storage",
      withBackend(async (backend) => {
        const storage = storageOf("ramp", "float32", [64], new Uint8Array(ramp(64).buffer))
        await backend.makeResident([storage])
        for (const [first, count] of [
          [0, 64],
          [5, 3],
          [63, 1],
        ]) {
          const values = new Float32Array(count)
          await storage.replicaIn(backend)!.read(4 * first, new Uint8Array(values.buffer))
          expect([...values]).toEqual([...ramp(64).subarray(first, first + count)])
        }
      }),
    )

    it(
      "answers later, never while it is asked",
      withBackend(async (backend) => {
        const program = doubling()
        const executable = await backend.compile(program)
        let returned = false
        const replay = executable.replay({ x: ramp(6) }).then(() => expect(returned).toBe(true))
        returned = true
        await replay
        const refused = executable.replay({})
        await expect(refused).rejects.toThrow(BackendError)
      }),
    )
  })
}
