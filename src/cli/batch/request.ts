import type { ChatOptions, ChatSummary } from "../../engine/chat.js"
import type { ChatMessage } from "../../engine/chat_messages.js"
import { ParameterError } from "../../engine/errors.js"
import type { GenerateOptions, SummaryResult } from "../../engine/generate.js"
import type { LanguageModel } from "../../engine/model.js"

/** One line of a batch. */
export interface BatchRequest {
  readonly custom_id: string | null
  readonly body: Readonly<Record<string, unknown>>
}

/** What says nothing of the answer. */
const IGNORED = ["model", "user", "metadata", "store", "stream_options", "service_tier", "safety_identifier"]

/**
 * A line of OpenAI's batch format, `{ custom_id, method, url, body }`, or a body alone: with `messages`, or with a `prompt`.
 *
 * @throws {ParameterError} for a line that is neither
 */
export function parseRequest(line: string): BatchRequest {
  const value = readObject(line)
  if (!("body" in value)) return { custom_id: null, body: value }
  const { custom_id, url, body } = value
  if (typeof url === "string" && !/^\/v1\/(chat\/)?completions$/.test(url)) {
    throw new ParameterError("url", "/v1/chat/completions or /v1/completions", url)
  }
  if (typeof body !== "object" || body === null) throw new ParameterError("body", "an object", body)
  return { custom_id: typeof custom_id === "string" ? custom_id : null, body: body as BatchRequest["body"] }
}

function readObject(line: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new ParameterError("line", "one JSON object", line)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ParameterError("line", "one JSON object", value)
  }
  return value as Readonly<Record<string, unknown>>
}

/** Answers one request in the shape of OpenAI's chat completions or completions. */
export async function answerRequest(model: LanguageModel, { body }: BatchRequest, signal: AbortSignal) {
  const { messages, prompt, stream, n, max_completion_tokens, ...rest } = body
  if (stream) throw new ParameterError("stream", "false: a batch has no streams", stream)
  if (n !== undefined && n !== null && n !== 1) throw new ParameterError("n", "1: give the line several times", n)
  const given = Object.entries(rest).filter(([name]) => !IGNORED.includes(name))
  const options = { max_tokens: max_completion_tokens, ...Object.fromEntries(given), signal } as ChatOptions
  if (messages !== undefined) {
    for await (const event of model.chat(messages as ChatMessage[], options)) {
      if (event.type === "summary") return chatCompletion(model, event)
    }
  }
  if (typeof prompt !== "string") throw new ParameterError("messages", "messages, or a prompt", messages ?? prompt)
  let text = ""
  for await (const event of model.generate(prompt, options as GenerateOptions)) {
    if (event.type === "summary") return completion(model, text, event)
    text += event.text
  }
  throw new Error("an answer ended without its summary")
}

function chatCompletion(model: LanguageModel, summary: ChatSummary) {
  const { tool_calls, ...message } = summary.message
  const calls = tool_calls?.map(({ id, name, arguments: args }) => ({
    id,
    type: "function",
    function: { name, arguments: args },
  }))
  return {
    object: "chat.completion",
    model: model.info.name,
    choices: [
      {
        index: 0,
        message: { ...message, ...(calls && { tool_calls: calls }) },
        finish_reason: summary.finish_reason,
        logprobs: null,
      },
    ],
    usage: usageOf(summary),
  }
}

function completion(model: LanguageModel, text: string, summary: SummaryResult) {
  return {
    object: "text_completion",
    model: model.info.name,
    choices: [{ index: 0, text, finish_reason: summary.finish_reason, logprobs: null }],
    usage: usageOf(summary),
  }
}

function usageOf({ prompt_tokens, completion_tokens, cached_tokens }: ChatSummary | SummaryResult) {
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
  }
}
