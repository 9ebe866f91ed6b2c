import { formatBytes } from "../tensor/bytes.js"
import { MemoryLimitError } from "./memory_check.js"
import type { MemoryPlan } from "./memory_plan.js"

/**
 * Holds sessions beside a model's own against the limit that the model was loaded with.
 *
 * @param plan of the model with its own session
 * @param caches bytes of each further session's KV caches once they are full
 * @throws {MemoryLimitError} with all numbers, and what to change
 */
export function checkSessions(plan: MemoryPlan, limit: number, caches: readonly number[]): void {
  const allCaches = caches.reduce((sum, bytes) => sum + bytes, plan.caches)
  const working = plan.working * (1 + caches.length)
  const total = plan.weights + allCaches + working
  if (total <= limit) return
  throw new MemoryLimitError(
    `the model with ${1 + caches.length} sessions takes ${formatBytes(total)}: weights ${formatBytes(plan.weights)}, ` +
      `caches ${formatBytes(allCaches)}, intermediate values ${formatBytes(working)}. The memory limit is ` +
      `${formatBytes(limit)}: close a session, open this one with a smaller max_context, or raise the limit`,
    plan,
    { limit },
  )
}
