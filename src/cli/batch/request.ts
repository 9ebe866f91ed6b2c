import { randomUUID } from "node:crypto"
import type { ChatOptions, ChatSummary } from "../../engine/chat.js"
import type { ChatMessage } from "../../engine/chat_messages.js"
import { ParameterError } from "../../engine/errors.js"
import type { GenerateOptions, SummaryResult } from "../../engine/generate.js"
import type { LanguageModel } from "../../engine/model.js"
import { isObject } from "../../engine/schemas.js"

/** What a line of a batch asks for. */
export interface BatchRequest {
  readonly url: (typeof URLS)[number]
  readonly body: Readonly<Record<string, unknown>>
}

type Line = Readonly<Record<string, unknown>>

const URLS = ["/v1/chat/completions", "/v1/completions"] as const

/** What says nothing of the answer. */
const IGNORED = ["model", "user", "metadata", "store", "stream_options", "service_tier", "safety_identifier"]

/** @throws {ParameterError} for what is no JSON object */
export function readLine(line: string): Line {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new ParameterError("line", "one JSON object", line)
  }
  if (!isObject(value)) throw new ParameterError("line", "one JSON object", value)
  return value
}

/** What the line's answer is told apart by. @throws {ParameterError} */
export function customId({ custom_id = null }: Line): string | null {
  if (custom_id === null || typeof custom_id === "string") return custom_id
  throw new ParameterError("custom_id", "a string", custom_id)
}

/**
 * A line of OpenAI's batch format, `{ custom_id, method, url, body }`, or a body alone: with `messages`, or with a `prompt`.
 *
 * @throws {ParameterError} for a line that is neither
 */
export function parseRequest({ custom_id: _, ...line }: Line): BatchRequest {
  const { method = "POST", url, body } = "body" in line ? line : { body: line }
  if (method !== "POST") throw new ParameterError("method", '"POST"', method)
  if (!isObject(body)) throw new ParameterError("body", "an object", body)
  const wanted = url ?? (body.messages == null && body.prompt != null ? "/v1/completions" : "/v1/chat/completions")
  const known = URLS.find((name) => name === wanted)
  if (!known) throw new ParameterError("url", URLS.join(" or "), url)
  return { url: known, body }
}

/** Answers one request in the shape of OpenAI's chat completions or completions. */
export async function answerRequest(model: LanguageModel, { url, body }: BatchRequest, signal: AbortSignal) {
  const { messages, prompt, stream, n, logprobs, max_completion_tokens, ...rest } = body
  if (stream) throw new ParameterError("stream", "false: a batch has no streams", stream)
  if (n != null && n !== 1) throw new ParameterError("n", "1: give the line several times", n)
  if (logprobs) throw new ParameterError("logprobs", "false: answers of a batch have none", logprobs)
  const given = Object.entries(rest).filter(([name, value]) => value !== null && !IGNORED.includes(name))
  const options = { max_tokens: max_completion_tokens, ...Object.fromEntries(given), signal }
  return url === "/v1/chat/completions"
    ? answerChat(model, messages as ChatMessage[], options as ChatOptions)
    : answerPrompt(model, prompt, options as GenerateOptions)
}

async function answerChat(model: LanguageModel, messages: ChatMessage[], options: ChatOptions) {
  // Tokens up to a piece of reasoning count as reasoning, the header before its first one included.
  let [reasoning_tokens, since] = [0, 0]
  for await (const event of model.chat(messages, options)) {
    if (event.type === "summary") return chatCompletion(model, event, reasoning_tokens)
    if (event.type === "token") since++
    else {
      if (event.type === "reasoning") reasoning_tokens += since
      since = 0
    }
  }
  throw new Error("an answer ended without its summary")
}

async function answerPrompt(model: LanguageModel, prompt: unknown, options: GenerateOptions) {
  if (typeof prompt !== "string" && !Array.isArray(prompt)) {
    throw new ParameterError("prompt", "a text, or token ids; or messages", prompt)
  }
  let text = ""
  for await (const event of model.generate(prompt, options)) {
    if (event.type === "summary") return completion(model, text, event)
    text += event.text
  }
  throw new Error("an answer ended without its summary")
}

function chatCompletion(model: LanguageModel, summary: ChatSummary, reasoning_tokens: number) {
  const { tool_calls, ...message } = summary.message
  const calls = tool_calls?.map(({ id, name, arguments: args }) => ({
    id,
    type: "function",
    function: { name, arguments: args },
  }))
  return {
    ...identity("chatcmpl", model),
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { ...message, ...(calls && { tool_calls: calls }) },
        finish_reason: summary.finish_reason,
        logprobs: null,
      },
    ],
    usage: { ...usageOf(summary), completion_tokens_details: { reasoning_tokens } },
  }
}

function completion(model: LanguageModel, text: string, summary: SummaryResult) {
  return {
    ...identity("cmpl", model),
    object: "text_completion",
    choices: [{ index: 0, text, finish_reason: summary.finish_reason, logprobs: null }],
    usage: usageOf(summary),
  }
}

function identity(kind: string, { info }: LanguageModel) {
  return { id: `${kind}-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: info.name }
}

function usageOf({ prompt_tokens, completion_tokens, cached_tokens }: ChatSummary | SummaryResult) {
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
  }
}
