/// <reference lib="esnext.disposable" preserve="true" />

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
 *
 * What is reached from here stands in the published types, which need neither the DOM's, Node's nor WebGPU's.
 */

export * as mx from "./array/mx.js"
export { MxArray } from "./array/mx_array.js"
export { type Backend, BackendError, type CancelSignal, type LoadOptions, type Precision } from "./backends/backend.js"
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
export { KvCapacityError } from "./cache/kv_errors.js"
export { ContextLengthError, DeadlineError, LogitsError, ParameterError, QueueFullError } from "./engine/errors.js"
export type { GenerateOptions, SummaryResult, TokenResult } from "./engine/generate.js"
export type { GenerationOptions, GenerationSummary } from "./engine/generation.js"
export { type MemoryBounds, MemoryLimitError } from "./engine/memory_check.js"
export type { MemoryPlan } from "./engine/memory_plan.js"
export type { LanguageModel, ModelInfo, SessionOptions } from "./engine/model.js"
export type { ModelSession, TextCodec } from "./engine/model_session.js"
export { type BackendOptions, type OpenedBackend, openBackend } from "./engine/node_backend.js"
export { type LoadModelOptions, loadModel } from "./engine/node_model.js"
export type { Perplexity, PerplexityOptions } from "./engine/perplexity.js"
export type { TokenLogprob } from "./engine/sampling/logprobs.js"
export type { SamplingOptions } from "./engine/sampling/params.js"
export type { Sampled } from "./engine/sampling/sampler.js"
export type { FinishReason } from "./engine/stop.js"
export { GraphError } from "./ir/graph_error.js"
export type { SamplingDefaults } from "./models/sampling_defaults.js"
export { GrammarError } from "./text/grammar.js"
export type {
  AssistantMessage,
  ChatDelta,
  ConversationOptions,
  ReasoningEffort,
  Tool,
  ToolCall,
} from "./text/messages.js"
export type { TokenDecoder } from "./text/tokenizer.js"
export { TokenizerError } from "./text/tokenizer_error.js"
