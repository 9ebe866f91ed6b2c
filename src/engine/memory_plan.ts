import type { Backend, Executable } from "../backends/backend.js"
import type { Program } from "../backends/program.js"
import { formatBytes } from "../tensor/bytes.js"
import type { DType } from "../tensor/dtype.js"
import { Storage } from "../tensor/storage.js"
import { type CausalLM, compileStep } from "./step.js"

/** What running a model takes, in bytes, told before anything is loaded. */
export interface MemoryPlan {
  readonly weights: number
  /** The KV caches once they hold `max_context` tokens. */
  readonly caches: number
  /** Intermediate values, inputs and results of the largest step. An estimate: kernels may want scratch memory beside. */
  readonly working: number
  readonly max_context: number
  /** The largest single array of weights or caches. */
  readonly largest: { readonly name: string; readonly byteLength: number }
}

export interface MemoryBounds {
  /** Bytes that the whole may take. */
  readonly limit?: number
  /** Bytes that one array may take: a GPU's largest buffer. */
  readonly maxArray?: number
}

/** The model would take more memory than it may. Nothing was loaded. */
export class MemoryLimitError extends Error {
  override readonly name = "MemoryLimitError"

  constructor(
    message: string,
    readonly plan: MemoryPlan,
    readonly bounds: MemoryBounds,
  ) {
    super(message)
  }
}

/** Traces the step that takes most, a whole chunk of a prompt, and counts what it touches. Reads no weights. */
export async function planMemory(model: CausalLM, backend: Backend, max_context: number): Promise<MemoryPlan> {
  const rows = Math.min(backend.prefillChunk, max_context)
  const states = cachesAt(model, backend, max_context)
  const caches = states.flatMap((cache) => cache.states)
  const measure = new MeasuringBackend(backend)
  const drawn = new Storage("drawn ids", "uint32", [1], null)
  await compileStep({ rows, wanted: "last" }, model, states, drawn, false, { device: measure })
  const { buffers } = measure.program!
  const storages = buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer] : []))
  const weights = storages.flatMap(({ storage, access }) => (access === "read" ? [storage] : []))
  const isCache = new Set(caches)
  const results = storages.flatMap(({ storage, access }) =>
    access === "write" && !isCache.has(storage) ? [storage] : [],
  )
  const own = buffers.flatMap((buffer) => (buffer.kind === "storage" ? [] : [buffer]))
  const [largest] = [...weights, ...caches].sort((a, b) => b.byteLength - a.byteLength)
  return {
    weights: bytesOf(weights),
    caches: bytesOf(caches),
    working: bytesOf(results) + bytesOf(own),
    max_context,
    largest,
  }
}

/**
 * Holds a plan against what there is.
 *
 * @param cacheBytes bytes of the caches at another context, to say which one would fit
 * @throws {MemoryLimitError} with all numbers, and what to change
 */
export function checkMemory(plan: MemoryPlan, bounds: MemoryBounds, cacheBytes: (context: number) => number): void {
  const { weights, caches, working, max_context, largest } = plan
  const { limit = Number.POSITIVE_INFINITY, maxArray = Number.POSITIVE_INFINITY } = bounds
  if (largest.byteLength > maxArray) {
    throw new MemoryLimitError(
      `${largest.name} takes ${formatBytes(largest.byteLength)}, and the device holds arrays of at most ` +
        `${formatBytes(maxArray)}: choose another device, or a smaller context if it is a cache`,
      plan,
      bounds,
    )
  }
  const total = weights + caches + working
  if (total <= limit) return
  const fitting = longestContext(max_context, (context) => weights + cacheBytes(context) + working <= limit)
  const advice = fitting
    ? `lower the context (up to ${fitting} tokens fit), raise the limit`
    : "no context fits: raise the limit, choose a smaller model"
  throw new MemoryLimitError(
    `the model takes ${formatBytes(total)}: weights ${formatBytes(weights)}, caches of ${max_context} tokens ` +
      `${formatBytes(caches)}, intermediate values ${formatBytes(working)}. The memory limit is ` +
      `${formatBytes(limit)}: ${advice} or choose another device`,
    plan,
    bounds,
  )
}

/** Bytes of the KV caches that a runner on `backend` keeps once they hold `context` tokens. */
export function cacheBytesAt(model: CausalLM, backend: Backend, context: number): number {
  return bytesOf(cachesAt(model, backend, context).flatMap(({ states }) => states))
}

function cachesAt(model: CausalLM, { cacheDTypes, prefillChunk }: Backend, context: number) {
  const caches = model.makeCaches(context, Math.min(prefillChunk, context), { dtype: cacheDTypes[0] })
  for (const cache of caches) cache.reserve(context)
  return caches
}

/** The most tokens, below `max`, for which `fits` holds, or null. */
function longestContext(max: number, fits: (context: number) => boolean): number | null {
  if (max < 2 || !fits(2)) return null
  let [low, high] = [2, max]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (fits(middle)) low = middle
    else high = middle
  }
  return low
}

function bytesOf(parts: Iterable<{ readonly byteLength: number }>): number {
  let bytes = 0
  for (const { byteLength } of parts) bytes += byteLength
  return bytes
}

/** Takes programs as another backend would, and keeps the last one instead of compiling it. */
class MeasuringBackend implements Backend {
  readonly name: string
  readonly fusions: Backend["fusions"]
  readonly cacheDTypes: readonly DType[]
  readonly prefillChunk: number
  readonly replaysAhead: number
  program: Program | undefined

  constructor(like: Backend) {
    this.name = like.name
    this.fusions = like.fusions
    this.cacheDTypes = like.cacheDTypes
    this.prefillChunk = like.prefillChunk
    this.replaysAhead = like.replaysAhead
  }

  async compile(program: Program): Promise<Executable> {
    this.program = program
    return { replay: async () => {}, dispose: () => {} }
  }

  tolerance(): number {
    return 0
  }

  async makeResident(): Promise<void> {}

  async close(): Promise<void> {}
}
