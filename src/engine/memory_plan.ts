import type { Backend, Executable } from "../backends/backend.js"
import type { Program } from "../ir/program.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { formatBytes } from "../tensor/bytes.js"
import type { DType } from "../tensor/dtype.js"
import { Storage } from "../tensor/storage.js"
import { type CausalLM, compileStep, type StepKind } from "./step.js"

/** What running a model takes, in bytes, told before anything is loaded. */
export interface MemoryPlan {
  readonly weights: number
  /** The KV caches once they hold `max_context` tokens, those of a batch included. */
  readonly caches: number
  /** Intermediate values, inputs and results of the largest step. An estimate: kernels may want scratch memory beside. */
  readonly working: number
  readonly max_context: number
  /** Sequences of a batch, each of `max_context` tokens, beside the model's own conversation: see `BatchRunner`. */
  readonly sequences?: number
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

/**
 * Traces the steps that take most, a whole chunk of a prompt and a token of every sequence, and counts what they touch.
 * Reads no weights.
 *
 * @param sequences of a batch that will run over the same weights; none by default
 */
export async function planMemory(
  model: CausalLM,
  backend: Backend,
  max_context: number,
  sequences?: number,
): Promise<MemoryPlan> {
  const rows = Math.min(backend.prefillChunk, max_context)
  const own = cachesAt(model, backend, max_context)
  const batch = sequences === undefined ? [] : batchCaches(model, backend, max_context, sequences)
  const caches = [...own, ...batch].flatMap((cache) => cache.states)
  const steps = [await measureStep({ rows, wanted: "last" }, model, own, backend)]
  if (sequences !== undefined) steps.push(await measureStep({ rows: sequences, wanted: "all" }, model, batch, backend))
  const [{ weights }] = steps
  const [largest] = [...weights, ...caches].sort((a, b) => b.byteLength - a.byteLength)
  return {
    weights: bytesOf(weights),
    caches: bytesOf(caches),
    working: Math.max(...steps.map(({ working }) => working)),
    max_context,
    sequences,
    largest,
  }
}

/** The weights that a step reads, and the bytes of what it has beside weights and caches. */
async function measureStep(kind: StepKind, model: CausalLM, caches: readonly LayerCache[], backend: Backend) {
  const device = new MeasuringBackend(backend)
  const drawn = new Storage("drawn ids", "uint32", [1], null)
  const batched = kind.wanted === "all"
  await compileStep(kind, model, caches, drawn, batched, { device })
  const { buffers } = device.program!
  const storages = buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer] : []))
  const weights = storages.flatMap(({ storage, access }) => (access === "read" ? [storage] : []))
  const isCache = new Set(caches.flatMap(({ states }) => states))
  const results = storages.flatMap(({ storage, access }) =>
    access === "write" && !isCache.has(storage) ? [storage] : [],
  )
  const own = buffers.flatMap((buffer) => (buffer.kind === "storage" ? [] : [buffer]))
  return { weights, working: bytesOf(results) + bytesOf(own) }
}

/**
 * Holds a plan against what there is.
 *
 * @param cacheBytes bytes of the caches at another context, or with another number of sequences if the plan has some,
 * to say what would fit
 * @throws {MemoryLimitError} with all numbers, and what to change
 */
export function checkMemory(plan: MemoryPlan, bounds: MemoryBounds, cacheBytes: (n: number) => number): void {
  const { weights, caches, working, largest } = plan
  const knob = knobOf(plan)
  const { limit = Number.POSITIVE_INFINITY, maxArray = Number.POSITIVE_INFINITY } = bounds
  if (largest.byteLength > maxArray) {
    throw new MemoryLimitError(
      `${largest.name} takes ${formatBytes(largest.byteLength)}, and the device holds arrays of at most ` +
        `${formatBytes(maxArray)}: choose another device, or ${knob.less} if it is a cache`,
      plan,
      bounds,
    )
  }
  const total = weights + caches + working
  if (total <= limit) return
  const fitting = mostFitting(knob.least, knob.now, (n) => weights + cacheBytes(n) + working <= limit)
  const advice = fitting
    ? `lower the ${knob.name} (up to ${fitting} ${knob.unit} fit), raise the limit`
    : `no ${knob.name} fits: raise the limit, choose a smaller model`
  throw new MemoryLimitError(
    `the model takes ${formatBytes(total)}: weights ${formatBytes(weights)}, caches of ${knob.held} ` +
      `${formatBytes(caches)}, intermediate values ${formatBytes(working)}. The memory limit is ` +
      `${formatBytes(limit)}: ${advice} or choose another device`,
    plan,
    bounds,
  )
}

/** What a user turns down for smaller caches: the sequences of a batch, or else the context. */
function knobOf({ max_context, sequences }: MemoryPlan) {
  return sequences === undefined
    ? {
        name: "context",
        unit: "tokens",
        less: "a smaller context",
        held: `${max_context} tokens`,
        least: 2,
        now: max_context,
      }
    : {
        name: "number of sequences",
        unit: "sequences",
        less: "fewer sequences",
        held: `${sequences} sequences and a conversation, ${max_context} tokens each,`,
        least: 1,
        now: sequences,
      }
}

/**
 * Bytes of the KV caches that a runner on `backend` keeps once they hold `context` tokens, and, if `sequences` is given,
 * of those of a batch of so many of that length.
 */
export function cacheBytesAt(model: CausalLM, backend: Backend, context: number, sequences?: number): number {
  const batch = sequences === undefined ? [] : batchCaches(model, backend, context, sequences)
  return bytesOf([...cachesAt(model, backend, context), ...batch].flatMap(({ states }) => states))
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

/** The most, from `min` and below `max`, for which `fits` holds, or null. */
function mostFitting(min: number, max: number, fits: (n: number) => boolean): number | null {
  if (max <= min || !fits(min)) return null
  let [low, high] = [min, max]
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
