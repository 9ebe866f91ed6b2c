/**
 * Minerva as a library for Node.
 *
 *     import { loadModel } from "minerva-mlx"
 *
 *     const model = await loadModel("models/minerva-tiny")
 *     for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }], { temperature: 0 })) {
 *       if (event.type === "content") process.stdout.write(event.text)
 *       if (event.type === "summary") console.log(event.finish_reason, event.generation_tps)
 *     }
 *     for await (const result of model.generate("Once upon a time", { max_tokens: 40, seed: 7 })) {
 *       if (result.type === "token") process.stdout.write(result.text)
 *     }
 *     await model.close()
 */

export { BackendError } from "./backends/backend.js"
export { CheckpointError } from "./checkpoint/errors.js"
export type {
  AnswerMessage,
  ChatEvent,
  ChatOptions,
  ChatSummary,
  IdentifiedToolCall,
} from "./engine/chat.js"
export type { ChatMessage, ContentPart, ToolCallParam } from "./engine/chat_messages.js"
export type { ToolParam } from "./engine/chat_request.js"
export { ContextLengthError, LogitsError, ParameterError } from "./engine/errors.js"
export type { GenerateOptions, SummaryResult, TokenResult } from "./engine/generate.js"
export type { GenerationSummary } from "./engine/generation.js"
export { type MemoryBounds, MemoryLimitError, type MemoryPlan } from "./engine/memory_plan.js"
export type { LanguageModel, ModelInfo } from "./engine/model.js"
export type { ModelRunner } from "./engine/model_runner.js"
export { type LoadModelOptions, loadModel } from "./engine/node_model.js"
export { type Perplexity, perplexity } from "./engine/perplexity.js"
export type { TokenLogprob } from "./engine/sampling/logprobs.js"
export type { SamplingOptions, SamplingParams } from "./engine/sampling/params.js"
export type { Sampled } from "./engine/sampling/sampler.js"
export type { FinishReason } from "./engine/stop.js"
export type { AssistantMessage, ChatDelta, ReasoningEffort, Tool, ToolCall } from "./text/messages.js"
export { TokenizerError } from "./text/tokenizer.js"
