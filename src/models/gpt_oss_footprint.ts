import type { GptOssConfig } from "./config.js"
import { GptOss } from "./gpt_oss.js"

/** Parameters in all, and those one token uses: all but the input embedding and the experts not chosen. */
export interface ParameterCount {
  readonly total: number
  readonly active: number
}

/** Counted as in OpenAI's model card (arXiv 2508.10925, table 1): biases, norms and sinks included. */
export function countParameters(config: GptOssConfig): ParameterCount {
  const { hidden_size: H, intermediate_size: I, vocab_size, head_dim, num_local_experts, num_experts_per_tok } = config
  const queries = config.num_attention_heads * head_dim
  const keys = config.num_key_value_heads * head_dim
  const biases = config.attention_bias ? queries + 2 * keys + H : 0
  const attention = H * (queries + 2 * keys) + queries * H + biases + config.num_attention_heads
  const router = H * num_local_experts + num_local_experts
  const expert = 3 * H * I + 2 * I + H
  const layer = attention + router + 2 * H
  const layers = config.layer_types.length
  const head = vocab_size * H
  const embeddings = config.tie_word_embeddings ? head : 2 * head
  return {
    total: embeddings + layers * (layer + num_local_experts * expert) + H,
    active: head + layers * (layer + num_experts_per_tok * expert) + H,
  }
}

/**
 * Bytes of weights that decoding one token reads: every tensor once, of the experts only the chosen share, of an untied
 * embedding nothing worth counting.
 *
 * @param tensors byte lengths by checkpoint name
 */
export function weightBytesPerToken(config: GptOssConfig, tensors: Iterable<readonly [string, number]>): number {
  const share = config.num_experts_per_tok / config.num_local_experts
  let bytes = 0
  for (const [name, byteLength] of tensors) {
    if (name.includes(".embed_tokens.") && !config.tie_word_embeddings) continue
    bytes += name.includes(".experts.") ? byteLength * share : byteLength
  }
  return bytes
}

/** Bytes of the KV caches once they hold `context` tokens. */
export function kvCacheBytes(config: GptOssConfig, context: number, prefill_chunk = 256): number {
  let bytes = 0
  for (const cache of new GptOss(config).makeCaches(context, prefill_chunk)) {
    cache.reserve(context)
    for (const { byteLength } of cache.states) bytes += byteLength
  }
  return bytes
}
