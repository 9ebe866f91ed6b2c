import { isObject } from "../../engine/schemas.js"
import type { BatchUsage } from "./objects.js"

export const NO_USAGE: BatchUsage = {
  input_tokens: 0,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 0,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 0,
}

/** What requests took, with one more of them, in whichever API's words. @param line of an output file */
export function addUsage(sum: BatchUsage, line: string): BatchUsage {
  const usage = at(JSON.parse(line), "response", "body", "usage")
  const input = count(usage, "prompt_tokens") + count(usage, "input_tokens")
  const output = count(usage, "completion_tokens") + count(usage, "output_tokens")
  const cached =
    count(at(usage, "prompt_tokens_details"), "cached_tokens") +
    count(at(usage, "input_tokens_details"), "cached_tokens") +
    count(usage, "cache_read_input_tokens")
  const reasoning =
    count(at(usage, "completion_tokens_details"), "reasoning_tokens") +
    count(at(usage, "output_tokens_details"), "reasoning_tokens")
  // Of these, Anthropic's API counts those that were cached apart.
  const input_tokens = input + count(usage, "cache_read_input_tokens") + count(usage, "cache_creation_input_tokens")
  return {
    input_tokens: sum.input_tokens + input_tokens,
    input_tokens_details: { cached_tokens: sum.input_tokens_details.cached_tokens + cached },
    output_tokens: sum.output_tokens + output,
    output_tokens_details: { reasoning_tokens: sum.output_tokens_details.reasoning_tokens + reasoning },
    total_tokens: sum.total_tokens + input_tokens + output,
  }
}

const at = (value: unknown, ...path: string[]): unknown =>
  path.reduce((inner, key) => (isObject(inner) ? inner[key] : undefined), value)

function count(value: unknown, key: string): number {
  const found = at(value, key)
  return typeof found === "number" && Number.isFinite(found) ? found : 0
}
