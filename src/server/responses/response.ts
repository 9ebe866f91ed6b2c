import type { OutputItem } from "./items.js"
import type { ResponseRequest, TextFormat } from "./request.js"
import type { ResponseTool, ResponseToolChoice } from "./tools.js"

export interface ResponseUsage {
  readonly input_tokens: number
  readonly input_tokens_details: { readonly cached_tokens: number; readonly cache_write_tokens: number }
  readonly output_tokens: number
  readonly output_tokens_details: { readonly reasoning_tokens: number }
  readonly total_tokens: number
}

export type ResponseStatus = "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled"

/** OpenAI's `Response`. */
export interface ResponseObject {
  readonly id: string
  readonly object: "response"
  /** Seconds since 1970. */
  readonly created_at: number
  readonly completed_at: number | null
  readonly status: ResponseStatus
  readonly background: boolean
  readonly error: { readonly code: string; readonly message: string } | null
  readonly incomplete_details: { readonly reason: "max_output_tokens" } | null
  readonly instructions: string | null
  readonly max_output_tokens: number | null
  readonly max_tool_calls: number | null
  readonly metadata: Readonly<Record<string, string>>
  readonly model: string
  readonly output: readonly OutputItem[]
  readonly parallel_tool_calls: boolean
  readonly previous_response_id: string | null
  readonly prompt_cache_key: string | null
  readonly reasoning: { readonly effort: string | null; readonly summary: string | null }
  readonly safety_identifier: string | null
  readonly service_tier: "default"
  readonly store: boolean
  readonly temperature: number
  readonly text: { readonly format: TextFormat; readonly verbosity: "low" | "medium" | "high" }
  readonly tool_choice: ResponseToolChoice
  readonly tools: readonly ResponseTool[]
  readonly top_logprobs: number
  readonly top_p: number
  /** Whatever the request says: no conversation is cut here. */
  readonly truncation: "disabled"
  readonly user?: string
  readonly usage?: ResponseUsage
}

export const now = () => Math.floor(Date.now() / 1000)

/** A response that has nothing yet. */
export function begunResponse(id: string, model: string, request: ResponseRequest): ResponseObject {
  const { body, tools, tool_choice, background, store } = request
  return {
    id,
    object: "response",
    created_at: now(),
    completed_at: null,
    status: "in_progress",
    background,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: body.metadata ?? {},
    model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: "default",
    store,
    temperature: body.temperature ?? 1,
    text: { format: body.text?.format ?? { type: "text" }, verbosity: body.text?.verbosity ?? "medium" },
    tool_choice,
    tools,
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: "disabled",
    ...(body.user != null && { user: body.user }),
  }
}
