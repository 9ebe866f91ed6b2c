import type { Backend } from "../backends/backend.js"
import { checkMemory, type MemoryBounds, MemoryLimitError, mostFitting } from "./memory_check.js"
import { cacheMemoryAt, type KvNeeds, type MemoryPlan, planMemory, storeFor } from "./memory_plan.js"
import type { CausalLM } from "./step.js"

/** A context that nobody asked for is not shortened to less than this. */
const LEAST_CONTEXT = 1024

/** What a pool of keys and values is made for, and what the model takes with it, where that was counted. */
export interface FittedPool {
  readonly needs: KvNeeds
  readonly plan?: MemoryPlan
}

/**
 * Fits the pool into the memory there is, before weights are read. With a bound on memory it takes what is left: up to what all
 * sequences take at their longest under a limit, all of `needs.bytes` where these are said. It holds one conversation at least,
 * and no array of it is larger than the device's.
 *
 * @param mayShrink whether the context may be shortened to what fits: nobody asked for this one
 * @throws {MemoryLimitError} where the model does not fit with one conversation
 */
export async function fitPool(
  model: CausalLM,
  backend: Backend,
  needs: KvNeeds,
  bounds: MemoryBounds,
  mayShrink: boolean,
): Promise<FittedPool> {
  if (needs.sequences !== undefined) return fixedPool(model, backend, needs, bounds)
  const { bytes: maxPool, ...conversation } = needs
  const within = { ...bounds, maxPool }
  if (Object.values(within).every((bound) => bound === undefined)) return { needs }
  const least = mayShrink ? Math.min(LEAST_CONTEXT, model.config.max_position_embeddings) : needs.max_context
  const fitted = await fitContext(model, backend, conversation, within, least)
  return grow(model, backend, fitted, within)
}

/** For tools that say how many sequences there are: nothing is shrunk or grown. */
async function fixedPool(model: CausalLM, backend: Backend, needs: KvNeeds, bounds: MemoryBounds): Promise<FittedPool> {
  if (Object.values(bounds).every((bound) => bound === undefined)) return { needs }
  const plan = await planMemory(model, backend, needs)
  await checkMemory(plan, bounds, (sequences) => cacheMemoryAt(model, backend, { ...needs, sequences }))
  return { needs, plan }
}

/** Room for one conversation: of the wanted length, or as long as fits, but no shorter than `least`. */
async function fitContext(
  model: CausalLM,
  backend: Backend,
  needs: KvNeeds,
  bounds: MemoryBounds,
  least: number,
): Promise<Required<FittedPool>> {
  const plan = await planMemory(model, backend, needs)
  try {
    await checkMemory(plan, bounds, (max_context) => cacheMemoryAt(model, backend, { ...needs, max_context }))
    return { needs, plan }
  } catch (error) {
    const fits = error instanceof MemoryLimitError ? error.fits : null
    if (fits === null || fits < least) throw error
    return fitContext(model, backend, { ...needs, max_context: fits }, bounds, least)
  }
}

/** Gives the pool what is left. */
async function grow(
  model: CausalLM,
  backend: Backend,
  { needs, plan }: Required<FittedPool>,
  { limit, maxArray, maxCache, maxPool }: MemoryBounds,
): Promise<FittedPool> {
  const none = Number.POSITIVE_INFINITY
  const { pages, page_bytes } = storeFor(model, backend, needs)
  const besides = plan.total - plan.caches
  const largestArray = Math.min(maxArray ?? none, maxCache ?? none)
  const mostBytes = Math.min(maxPool ?? none, (limit ?? none) - besides)
  const inUse = limit === undefined ? pages : pages * plan.max_sequences
  const mostPages = maxPool === undefined ? inUse : Math.floor(maxPool / page_bytes)
  const of = (n: number): KvNeeds => ({ ...needs, bytes: n * page_bytes })
  const most = await mostFitting(pages, mostPages + 1, async (n) => {
    const { bytes, largest } = await cacheMemoryAt(model, backend, of(n))
    return bytes <= mostBytes && largest.byteLength <= largestArray
  })
  const grown = of(most ?? pages)
  const { bytes, largest } = await cacheMemoryAt(model, backend, grown)
  return { needs: grown, plan: { ...plan, caches: bytes, largestCache: largest, total: besides + bytes } }
}
