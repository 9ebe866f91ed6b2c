/** What the library is everywhere; loading models and opening devices is `index.ts` in Node and `web.ts` in browsers. */

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
export type { LoadModelOptions } from "./engine/load_model.js"
export type { BackendOptions, OpenedBackend } from "./engine/open_backend.js"
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
