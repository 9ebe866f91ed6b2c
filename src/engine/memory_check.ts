import type { OutOfMemoryError } from "../backends/backend.js"
import { formatBytes } from "../tensor/bytes.js"
import type { CacheMemory, MemoryPlan } from "./memory_plan.js"

export interface MemoryBounds {
  /** Bytes that the whole may take. */
  readonly limit?: number
  /** Bytes that one array may take: a GPU's largest buffer. */
  readonly maxArray?: number
  /** Bytes that one array of the pool of keys and values may take: what a GPU's kernels can bind at once. */
  readonly maxCache?: number
  /** Bytes that the pool may take in all: `kv_memory`. */
  readonly maxPool?: number
}

/** The model would take more memory than it may, or than there is. Nothing is loaded. */
export class MemoryLimitError extends Error {
  override readonly name = "MemoryLimitError"

  constructor(
    message: string,
    readonly plan: MemoryPlan,
    readonly bounds: MemoryBounds,
    /** The longest context that would fit, or the number of sequences where the plan has several; null: none would. */
    readonly fits: number | null,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/**
 * Holds a plan against what there is.
 *
 * @param cachesOf the caches at another context, or with another number of sequences if the plan has some, to say what
 * would fit
 * @throws {MemoryLimitError} with all numbers, and what to change
 */
export async function checkMemory(
  plan: MemoryPlan,
  bounds: MemoryBounds,
  cachesOf: (n: number) => Promise<CacheMemory>,
): Promise<void> {
  const { total, caches, largestWeight, largestCache } = plan
  const none = Number.POSITIVE_INFINITY
  const { limit = none, maxArray = none, maxCache = none, maxPool = none } = bounds
  const most = Math.min(maxArray, maxCache)
  const knob = knobOf(plan)
  if (largestWeight.byteLength > maxArray) {
    const message =
      `${largestWeight.name} takes ${formatBytes(largestWeight.byteLength)}, and the device holds arrays of at most ` +
      `${formatBytes(maxArray)}: choose another device`
    throw new MemoryLimitError(message, plan, bounds, null)
  }
  if (largestCache.byteLength <= most && caches <= maxPool && total <= limit) return
  const fits = await mostFitting(knob.least, knob.now, async (n) => {
    const { bytes, largest } = await cachesOf(n)
    return total - caches + bytes <= limit && largest.byteLength <= most && bytes <= maxPool
  })
  const refuse = (message: string) => new MemoryLimitError(message, plan, bounds, fits)
  const advice = fits && `lower the ${knob.name} (up to ${fits} ${knob.unit} fit)`
  if (largestCache.byteLength > most) {
    throw refuse(
      `the pool of keys and values of ${knob.held} takes ${formatBytes(largestCache.byteLength)} in one array, and the ` +
        `device holds caches in arrays of at most ${formatBytes(most)}: ${advice ? `${advice} or ` : ""}choose another device`,
    )
  }
  if (caches > maxPool) {
    throw refuse(
      `keys and values of ${knob.held} take ${formatBytes(caches)}, and kv_memory is ${formatBytes(maxPool)}: ` +
        `${advice ? `${advice} or ` : ""}raise it, or take fewer kv_bits`,
    )
  }
  throw refuse(
    `${describe(plan)}. The memory limit is ${formatBytes(limit)}: ` +
      `${advice ? `${advice}, raise the limit` : `no ${knob.name} fits: raise the limit, choose a smaller model`} ` +
      "or choose another device",
  )
}

/** The same error for a device that turned out to have less memory than the plan needs, which nobody could know before. */
export function memoryRanOut(plan: MemoryPlan, cause: OutOfMemoryError): MemoryLimitError {
  const advice = `lower the ${knobOf(plan).name} or choose a smaller model or another device`
  const message = `${cause.message}. In all ${describe(plan)}: ${advice}`
  return new MemoryLimitError(message, plan, {}, null, { cause })
}

function describe(plan: MemoryPlan): string {
  const { total, weights, caches, working, staging, max_sequences } = plan
  const together = max_sequences > 1 ? ` of up to ${max_sequences} sequences at once` : ""
  const loading = staging > 0 ? `, buffers for loading ${formatBytes(staging)}` : ""
  return (
    `the model takes ${formatBytes(total)}: weights ${formatBytes(weights)}, caches of ${knobOf(plan).held} ` +
    `${formatBytes(caches)}, intermediate values${together} ${formatBytes(working)}${loading}`
  )
}

/** What a user turns down for smaller caches: the sequences of a batch, or else the context. */
function knobOf({ max_context, sequences }: MemoryPlan) {
  return sequences === undefined
    ? {
        name: "context",
        unit: "tokens",
        held: `${max_context} tokens`,
        least: 2,
        now: max_context,
      }
    : {
        name: "number of sequences",
        unit: "sequences",
        held: `${sequences} sequences, ${max_context} tokens each,`,
        least: 1,
        now: sequences,
      }
}

/** The most, from `min` and below `max`, for which `fits` holds, or null. */
export async function mostFitting(
  min: number,
  max: number,
  fits: (n: number) => Promise<boolean>,
): Promise<number | null> {
  if (max <= min || !(await fits(min))) return null
  let [low, high] = [min, max]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (await fits(middle)) low = middle
    else high = middle
  }
  return low
}
