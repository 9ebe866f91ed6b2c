import type { KvFormat } from "../tensor/kv_format.js"
import { kvVector } from "../cache/kv_vector.js"
import { itemSize } from "../tensor/dtype.js"
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

/** Bytes of keys and values that decoding a token reads when it is the last of `context`: sliding layers read their window. */
export function cacheBytesPerToken(config: GptOssConfig, context: number, format: KvFormat): number {
  const { dtype, length } = kvVector(format, config.head_dim)
  const vectorBytes = length * itemSize(dtype)
  return new GptOss(config).layers.reduce(
    (sum, { num_key_value_heads, window }) =>
      sum + 2 * num_key_value_heads * vectorBytes * Math.min(context, window ?? context),
    0,
  )
}
