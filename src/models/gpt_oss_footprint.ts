import type { CacheOptions } from "../cache/layer_cache.js"
import type { GptOssConfig } from "./config.js"
import { GptOss } from "./gpt_oss.js"

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

/** Bytes of the KV caches that decoding a token reads when it is the last of `context`: sliding layers read their window. */
export function cacheBytesPerToken(config: GptOssConfig, context: number, options?: CacheOptions): number {
  return new GptOss(config).makeCaches(context, 1, options).reduce((sum, cache) => sum + cache.bytesRead(context), 0)
}
