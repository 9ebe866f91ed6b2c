import { expect, type TestContext } from "vitest"
import type { Backend, HostArray } from "../../../src/backends/backend.js"
import { lower } from "../../../src/graph/lower.js"
import { specOf } from "../../../src/ir/describe.js"
import { largest } from "../../../src/ir/dim.js"
import { mapOperands } from "../../../src/ir/operands.js"
import { isFused, type KernelKind } from "../../../src/ir/operations.js"
import type { Operand, Program } from "../../../src/ir/program.js"
import type { Value } from "../../../src/ir/value.js"
import { itemSize } from "../../../src/tensor/dtype.js"
import { decodeVector, type KvFormat, kvVectorWords } from "../../../src/tensor/kv_format.js"
import { sizeOf } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"

/** A test that gets a backend of its own. */
export type WithBackend = (
  test: (backend: Backend, context: TestContext) => Promise<void>,
) => (context: TestContext) => Promise<void>

/** Ends the test, as skipped, when the backend does not ask for that kind: nothing would ever run it there. */
export function needs(kind: KernelKind, backend: Backend, { skip }: TestContext): void {
  if (isFused(kind) && !backend.fusions.has(kind)) skip(`${backend.name} does not ask for ${kind}`)
}

/** A part of the cases, such as the second of five: runs on several devices may share them. */
export interface Share {
  readonly part: number
  readonly of: number
}

/** Kernels of which every format and size is another one to compile. */
const PRODUCTS = new Set<KernelKind>([
  "matmul",
  "gather_matmul",
  "gather_glu",
  "norm_matmul",
  "route",
  "norm_gather_glu",
  "gather_matmul_sum",
])

/** Whether a share is for a device that takes seconds a kernel, so that nothing is cheap there. */
export function isSmall({ of }: Share): boolean {
  return of > 4
}

/** The cases that fall to a share, dealt in turn; all of them where they are cheap. */
export function shareOf<C>(kind: KernelKind, cases: readonly C[], share: Share): C[] {
  const isDealt = PRODUCTS.has(kind) || isSmall(share)
  return cases.filter((_, i) => !isDealt || i % share.of === share.part)
}

/** How often a share tries a property, and on which examples. */
export function settingsOf({ part, of }: Share): { numRuns: number; seed: number } {
  return { numRuns: Math.ceil(12 / of), seed: 5 + part }
}

/** A graph to run, and the inputs of one or more replays. */
export interface Case {
  readonly name: string
  readonly outputs: readonly Value[]
  readonly replays?: readonly Readonly<Record<string, HostArray>>[]
  /** Judges the outputs of a replay, where more than one answer is right. */
  readonly expect?: (outputs: readonly Result[], what: string) => void
  /** How the uint32 outputs, if they are KV caches, keep vectors of `D` elements: results are what those stand for. */
  readonly words?: { readonly format: KvFormat; readonly D: number }
}

/** Bytes before and after a result that no kernel may touch: WebGPU's default offset alignment. */
const GUARD = 256

/** A NaN in every float dtype, and no valid index. */
const POISON = 0xff

/** The same program with results that start as poison, not at the start of their buffers, between guards. */
function guarded(program: Program): Program {
  const poison = { read: async (_: number, into: Uint8Array) => void into.fill(POISON) }
  const replaced = new Map(
    program.results.map((result) => {
      const bytes = Math.ceil(result.byteLength / 4) * 4 + 2 * GUARD
      return [result, new Storage(result.name, "uint8", [bytes], poison)]
    }),
  )
  const isResult = program.buffers.map((buffer) => buffer.kind === "storage" && replaced.has(buffer.storage))
  const moved = (operand: Operand) =>
    isResult[operand.buffer] ? { ...operand, offset: operand.offset + GUARD } : operand
  return {
    buffers: program.buffers.map((buffer) =>
      buffer.kind === "storage" ? { ...buffer, storage: replaced.get(buffer.storage) ?? buffer.storage } : buffer,
    ),
    instructions: program.instructions.map(({ op, operands, results }) => ({
      op,
      operands: mapOperands(specOf(op).operands, operands, moved),
      results: Object.fromEntries(Object.entries(results).map(([name, result]) => [name, moved(result)])),
    })),
    results: program.results.map((result) => replaced.get(result)!),
  }
}

async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.byteLength)
  await storage.read(0, bytes)
  return bytes
}

/** One output after one replay. */
export type Result = Float32Array | Uint32Array | Uint8Array

/**
 * The outputs of each replay: float32 and uint32 as such, other dtypes as bytes. Fails when a kernel writes beyond its
 * result or into a constant. The case's states are used up.
 */
export async function run({ name, outputs, replays = [{}], words }: Case, backend: Backend): Promise<Result[][]> {
  const program = guarded(lower({ outputs }))
  const executable = await backend.compile(program)
  const results: Result[][] = []
  for (const inputs of replays) {
    await executable.replay(inputs)
    const found = await Promise.all(outputs.map((value, i) => resultOf(name, value, program.results[i])))
    results.push(found.map((result) => (words && result instanceof Uint32Array ? vectors(result, words) : result)))
  }
  executable.dispose()
  for (const buffer of program.buffers) {
    if (buffer.kind !== "storage") continue
    const { storage, access } = buffer
    const after = await bytesOf(storage)
    storage.dispose()
    if (access === "read" && !same(after, await bytesOf(storage))) throw new Error(`${name}: wrote into a constant`)
  }
  return results
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i])
}

function vectors(words: Uint32Array, { format, D }: NonNullable<Case["words"]>): Float32Array {
  const each = kvVectorWords(format, D)
  const out = new Float32Array((words.length / each) * D)
  for (let i = 0; i < words.length / each; i++) {
    decodeVector(format, words.subarray(i * each, (i + 1) * each), out.subarray(i * D, (i + 1) * D))
  }
  return out
}

async function resultOf(name: string, { dtype, shape }: Value, storage: Storage): Promise<Result> {
  const bytes = await bytesOf(storage)
  const inside = bytes.slice(GUARD, GUARD + sizeOf(largest(shape)) * itemSize(dtype))
  const untouched = new Uint8Array(bytes.length).fill(POISON)
  untouched.set(inside, GUARD)
  if (!same(bytes, untouched)) throw new Error(`${name}: wrote outside its result`)
  if (dtype === "float32") return new Float32Array(inside.buffer)
  return dtype === "uint32" ? new Uint32Array(inside.buffer) : inside
}

/** `||a - b|| / ||b||`; infinities must be equal. NaN, which fails every comparison, where either has one. */
export function relativeError(a: Float32Array, b: Float32Array): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < b.length; i++) {
    if (a[i] === b[i] && !Number.isFinite(b[i])) continue
    difference += (a[i] - b[i]) ** 2
    norm += b[i] ** 2
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm)
}

/** Floats within `tolerance` of what is expected, all else equal. */
export function expectClose(found: Result, expected: Result, tolerance: number, what: string): void {
  if (found instanceof Float32Array && expected instanceof Float32Array) {
    expect(found.length, what).toBe(expected.length)
    expect(relativeError(found, expected), what).toBeLessThanOrEqual(tolerance)
  } else expect(found, what).toEqual(expected)
}
