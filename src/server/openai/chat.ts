import type { ServedModel } from "../served_model.js"
import { ChatSample } from "./chat_choice.js"
import type { ChatRequest } from "./chat_request.js"
import { envelopeOf } from "./envelope.js"
import { sideBySide } from "./side_by_side.js"
import { usageOf } from "./usage.js"

/**
 * Answers a request, piece by piece: OpenAI's `CreateChatCompletionStreamResponse`s. What it returns is the answer as a whole,
 * a `CreateChatCompletionResponse`.
 */
export async function* chatChunks(
  model: ServedModel,
  { messages, n, include_usage, options, telling }: ChatRequest,
  version: string,
  signal: AbortSignal,
): AsyncGenerator<object, object, undefined> {
  const envelope = envelopeOf("chatcmpl", model.info, version)
  const samples = Array.from({ length: n }, (_, i) => new ChatSample(i, telling))
  const turns = samples.map((_, i) => model.chat(messages, { ...options(i), signal }))
  const chunk = { ...envelope, object: "chat.completion.chunk", ...(include_usage && { usage: null }) }
  for await (const [i, event] of sideBySide(turns)) {
    for (const choice of samples[i].push(event)) yield { ...chunk, choices: [choice] }
  }
  const summaries = samples.flatMap(({ summary }) => summary ?? [])
  const usage = usageOf([summaries])
  if (include_usage) yield { ...chunk, choices: [], usage }
  return {
    ...envelope,
    object: "chat.completion",
    choices: summaries.map((summary, i) => samples[i].choice(summary)),
    usage,
  }
}
