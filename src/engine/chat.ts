import type { Message } from "../text/harmony_messages.js"
import type { GenerateOptions, TokenResult } from "./generate.js"
import type { GenerationSummary } from "./generation.js"

export interface ChatToken extends Omit<TokenResult, "text"> {}
export interface ToolCall { readonly name: string; readonly arguments: string }
export type ChatEvent =
  | ChatToken
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "content"; readonly text: string }
  | ({ readonly type: "tool_call" } & ToolCall)
  | ChatSummary
export interface ChatSummary extends GenerationSummary {
  readonly type: "summary"
  readonly content: string
  readonly reasoning: string
  readonly tool_calls: readonly ToolCall[]
  readonly tokens: readonly number[]
  readonly messages: readonly Message[]
}
export interface ChatOptions extends GenerateOptions {
  readonly reasoning_effort?: "low" | "medium" | "high"
}
