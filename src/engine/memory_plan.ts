import type { Backend, MemoryCounter } from "../backends/backend.js"
import type { Program } from "../ir/program.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import type { Storage } from "../tensor/storage.js"
import { type CausalLM, decodingStep, promptRows, type StepKind, type StepStates, traceStep } from "./step.js"
import { stepStates } from "./steps.js"

/** What running a model takes, in bytes, told before anything is loaded: what the backend allocates, not only what it asks for. */
export interface MemoryPlan {
  readonly weights: number
  /** The KV caches once they hold `max_context` tokens, those of a batch included. */
  readonly caches: number
  /**
   * Intermediate values, inputs and results of decoding and of the largest step. Other steps compute in the same memory: on
   * a GPU, each of the few that are kept adds its parameters, some 10 to 100 kB.
   */
  readonly working: number
  /** What loading the weights takes in the host's memory until it is done. */
  readonly staging: number
  /** All of these. */
  readonly total: number
  readonly max_context: number
  /** Sequences of a batch, each of `max_context` tokens, beside the model's own conversation: see `BatchRunner`. */
  readonly sequences?: number
  /** The largest single array of weights. */
  readonly largestWeight: NamedBytes
  readonly largestCache: NamedBytes
}

interface NamedBytes {
  readonly name: string
  readonly byteLength: number
}

/** What caches take in all, and the largest array of them. */
export interface CacheMemory {
  readonly bytes: number
  readonly largest: NamedBytes
}

/**
 * Traces the steps that a runner compiles, decoding and the one that takes most, a whole chunk of a prompt, and those of a
 * batch, and counts what they touch. Reads no weights.
 *
 * @param sequences of a batch that will run over the same weights; none by default
 */
export async function planMemory(
  model: CausalLM,
  backend: Backend,
  max_context: number,
  sequences?: number,
): Promise<MemoryPlan> {
  const counter = counterOf(backend)
  const rows = Math.min(backend.prefillChunk, max_context)
  const own = cachesAt(model, backend, max_context)
  const batch = sequences === undefined ? [] : batchCaches(model, backend, max_context, sequences)
  const caches = [...own, ...batch].flatMap(({ states }) => states)
  const states = stepStates(own)
  const prompt = { rows: promptRows(rows, backend, rows), wanted: "last" } as const
  const programs = [decodingStep(backend), prompt].map((kind) => programOf(kind, model, states, backend))
  if (sequences !== undefined) {
    programs.push(programOf({ rows: sequences, wanted: "all" }, model, stepStates(batch, sequences), backend))
  }
  const bytes = { weights: 0, caches: await counter.storages(caches), working: 0 }
  for (const program of programs) {
    bytes.weights += await counter.storages(storagesOf(program, "read"))
    bytes.working += await counter.storages(storagesOf(program, "write"))
    bytes.working += await counter.program(program)
  }
  const { staging } = counter
  return {
    ...bytes,
    staging,
    total: bytes.weights + bytes.caches + bytes.working + staging,
    max_context,
    sequences,
    largestWeight: largestOf(programs.flatMap((program) => storagesOf(program, "read"))),
    largestCache: largestOf(caches),
  }
}

function storagesOf({ buffers }: Program, access: "read" | "write"): Storage[] {
  return buffers.flatMap((buffer) => (buffer.kind === "storage" && buffer.access === access ? [buffer.storage] : []))
}

/** The program of a step, as `backend` would be given it. */
function programOf(kind: StepKind, model: CausalLM, states: StepStates, { fusions }: Backend): Program {
  return lower(optimise(traceStep(kind, model, states), { fusions }))
}

/**
 * The KV caches that a runner on `backend` keeps once they hold `context` tokens, and, if `sequences` is given, those of a
 * batch of so many of that length.
 */
export async function cacheMemoryAt(
  model: CausalLM,
  backend: Backend,
  context: number,
  sequences?: number,
): Promise<CacheMemory> {
  const batch = sequences === undefined ? [] : batchCaches(model, backend, context, sequences)
  const states = [...cachesAt(model, backend, context), ...batch].flatMap(({ states }) => states)
  return { bytes: await counterOf(backend).storages(states), largest: largestOf(states) }
}

/** As `cacheMemoryAt` without what the backend may add to each array. */
export function cacheBytesAt(model: CausalLM, backend: Backend, context: number): number {
  const states = cachesAt(model, backend, context).flatMap(({ states }) => states)
  return states.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

function cachesAt(model: CausalLM, { cacheDTypes, prefillChunk }: Backend, context: number) {
  const caches = model.makeCaches(context, Math.min(prefillChunk, context), { dtype: cacheDTypes[0] })
  for (const cache of caches) cache.reserve(context)
  return caches
}

/** Those of a {@link BatchRunner}. */
function batchCaches(model: CausalLM, { cacheDTypes, prefillChunk }: Backend, context: number, sequences: number) {
  return model.makeCaches(context, Math.min(prefillChunk, context), { dtype: cacheDTypes[0], sequences })
}

function largestOf(storages: readonly Storage[]): NamedBytes {
  const [{ name, byteLength }] = [...storages].sort((a, b) => b.byteLength - a.byteLength)
  return { name, byteLength }
}

/** The backend's own way to count, or that each array takes its bytes. */
function counterOf(backend: Backend): MemoryCounter {
  return backend.memoryCounter?.() ?? new PlainCounter()
}

class PlainCounter implements MemoryCounter {
  readonly staging = 0
  private readonly counted = new Set<Storage>()
  private largestArena = 0

  async storages(storages: Iterable<Storage>): Promise<number> {
    let bytes = 0
    for (const storage of storages) {
      if (!this.counted.has(storage)) bytes += storage.byteLength
      this.counted.add(storage)
    }
    return bytes
  }

  /** Programs share the memory of intermediate values. */
  async program({ buffers }: Program): Promise<number> {
    let [inputs, arena] = [0, 0]
    for (const buffer of buffers) {
      if (buffer.kind === "input") inputs += buffer.byteLength
      else if (buffer.kind === "arena") arena += buffer.byteLength
    }
    const growth = Math.max(0, arena - this.largestArena)
    this.largestArena += growth
    return inputs + growth
  }
}
