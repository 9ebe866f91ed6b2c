import * as z from "zod"
import { CheckpointError, quote } from "../checkpoint/errors.js"
import type { YarnScaling } from "../nn/rope.js"
import { badConfig, checked } from "./checked.js"
import { readRope, ropeSchema } from "./rope_config.js"

export type LayerType = "sliding_attention" | "full_attention"

/** The architectures that load, by config.json's `model_type`. */
export const SUPPORTED_MODEL_TYPES: readonly string[] = ["gpt_oss"]

/** Everything about a gpt-oss model that config.json decides. Field names are Hugging Face's. */
export interface GptOssConfig {
  readonly model_type: "gpt_oss"
  readonly num_hidden_layers: number
  readonly hidden_size: number
  readonly intermediate_size: number
  readonly num_local_experts: number
  readonly num_experts_per_tok: number
  readonly vocab_size: number
  readonly head_dim: number
  readonly num_attention_heads: number
  readonly num_key_value_heads: number
  readonly attention_bias: boolean
  /** Positions a sliding layer sees, its own included; not used where no layer slides. */
  readonly sliding_window: number
  /** One per layer. */
  readonly layer_types: readonly LayerType[]
  readonly rms_norm_eps: number
  readonly rope_theta: number
  /** YaRN's parameters; null for plain RoPE. */
  readonly rope_scaling: YarnScaling | null
  readonly swiglu_alpha: number
  readonly swiglu_limit: number
  readonly max_position_embeddings: number
  readonly tie_word_embeddings: boolean
  /** Empty when the config names none; the tokenizer then decides. */
  readonly eos_token_ids: readonly number[]
  readonly bos_token_id: number | null
  readonly pad_token_id: number | null
}

const count = (max: number) => z.int().min(1).max(max)
const real = z.number().positive().max(1e12)
const tokenId = z.int().min(0).max(0xffffffff)

/** -1 is how some configs say that there is none. */
const tokenIdOrNone = z.union([tokenId, z.literal(-1)], "expected a token id")

/** One id or several, as a list. */
export const endTokens = z
  .union([tokenIdOrNone, z.array(tokenIdOrNone).max(1024)], "expected a token id or a list of token ids")
  .nullish()
  .transform((ids) => [ids ?? []].flat().filter((id) => id >= 0))

/** Absent and null are taken for the same. */
function withDefault<T extends z.ZodType>(schema: T, value: z.output<T>) {
  return schema.nullish().transform((given) => given ?? value)
}

// Bounds are far beyond any real model: they only keep products of dimensions exact and allocations sane.
const schema = z.looseObject({
  num_hidden_layers: withDefault(count(4096), 36),
  hidden_size: withDefault(count(2 ** 18), 2880),
  intermediate_size: withDefault(count(2 ** 18), 2880),
  num_local_experts: count(2 ** 12).nullish(),
  num_experts: count(2 ** 12).nullish(),
  num_experts_per_tok: count(2 ** 12).nullish(),
  experts_per_token: count(2 ** 12).nullish(),
  vocab_size: withDefault(count(2 ** 26), 201088),
  head_dim: count(2 ** 14).nullish(),
  num_attention_heads: withDefault(count(2 ** 14), 64),
  num_key_value_heads: count(2 ** 14).nullish(),
  attention_bias: withDefault(z.boolean(), true),
  sliding_window: withDefault(count(2 ** 30), 128),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
  rms_norm_eps: withDefault(z.number().positive().max(1), 1e-5),
  ...ropeSchema,
  swiglu_alpha: withDefault(real, 1.702),
  swiglu_limit: withDefault(real, 7),
  max_position_embeddings: withDefault(count(2 ** 30), 131072),
  tie_word_embeddings: withDefault(z.boolean(), false),
  eos_token_id: endTokens,
  bos_token_id: tokenIdOrNone.nullish(),
  pad_token_id: tokenIdOrNone.nullish(),
})

/**
 * Reads a parsed config.json of `model_type` "gpt_oss". Defaults are those of transformers' GptOssConfig
 * (transformers, models/gpt_oss/configuration_gpt_oss.py).
 *
 * @param file the file's name, for messages
 * @throws CheckpointError `unsupported_model` (listing what is supported) or `bad_config`, naming the field
 */
export function parseGptOssConfig(config: unknown, file = "config.json"): GptOssConfig {
  checkModelType(checked(z.looseObject({}), config, file).model_type, file)
  const raw = checked(schema, config, file)
  const layer_types =
    raw.layer_types ??
    Array.from({ length: raw.num_hidden_layers }, (_, i) => (i % 2 === 0 ? "sliding_attention" : "full_attention"))
  const result: GptOssConfig = {
    model_type: "gpt_oss",
    num_hidden_layers: raw.num_hidden_layers,
    hidden_size: raw.hidden_size,
    intermediate_size: raw.intermediate_size,
    num_local_experts: raw.num_local_experts ?? raw.num_experts ?? 128,
    num_experts_per_tok: raw.num_experts_per_tok ?? raw.experts_per_token ?? 4,
    vocab_size: raw.vocab_size,
    // For these two an explicit null means something else than silence.
    head_dim: raw.head_dim ?? ("head_dim" in raw ? Math.floor(raw.hidden_size / raw.num_attention_heads) : 64),
    num_attention_heads: raw.num_attention_heads,
    num_key_value_heads: raw.num_key_value_heads ?? ("num_key_value_heads" in raw ? raw.num_attention_heads : 8),
    attention_bias: raw.attention_bias,
    sliding_window: raw.sliding_window,
    layer_types,
    rms_norm_eps: raw.rms_norm_eps,
    ...readRope({ ...raw, layer_types }, file),
    swiglu_alpha: raw.swiglu_alpha,
    swiglu_limit: raw.swiglu_limit,
    max_position_embeddings: raw.max_position_embeddings,
    tie_word_embeddings: raw.tie_word_embeddings,
    eos_token_ids: raw.eos_token_id,
    bos_token_id: idOrNull(raw.bos_token_id),
    pad_token_id: idOrNull(raw.pad_token_id),
  }
  checkConsistent(result, file)
  return result
}

function idOrNull(id: number | null | undefined): number | null {
  return id == null || id < 0 ? null : id
}

function checkModelType(modelType: unknown, file: string): void {
  if (typeof modelType === "string" && SUPPORTED_MODEL_TYPES.includes(modelType)) return
  throw new CheckpointError({
    code: "unsupported_model",
    file,
    field: "model_type",
    problem: modelType === undefined ? "the model type is not given" : "this model type is not supported",
    expected: `one of: ${SUPPORTED_MODEL_TYPES.join(", ")}`,
    found: modelType === undefined ? "nothing" : quote(modelType),
    advice: "use a gpt-oss checkpoint, such as openai/gpt-oss-20b or mlx-community/gpt-oss-20b-MXFP4-Q8",
  })
}

function checkConsistent(config: GptOssConfig, file: string): void {
  const { num_attention_heads, num_key_value_heads, num_local_experts, num_experts_per_tok, layer_types } = config
  if (num_attention_heads % num_key_value_heads !== 0) {
    const expected = `a divisor of num_attention_heads (${num_attention_heads})`
    throw badConfig(file, "num_key_value_heads", "heads cannot be grouped", expected, String(num_key_value_heads))
  }
  if (num_experts_per_tok > num_local_experts) {
    const expected = `at most num_local_experts (${num_local_experts})`
    throw badConfig(
      file,
      "num_experts_per_tok",
      "more experts per token than experts",
      expected,
      String(num_experts_per_tok),
    )
  }
  if (layer_types.length !== config.num_hidden_layers) {
    const expected = `one type per layer (num_hidden_layers is ${config.num_hidden_layers})`
    throw badConfig(file, "layer_types", "wrong number of layer types", expected, String(layer_types.length))
  }
  if (config.head_dim % 2 !== 0) {
    throw badConfig(file, "head_dim", "rotary embedding turns pairs", "an even number", String(config.head_dim))
  }
  checkEndTokens(config.eos_token_ids, config.vocab_size, file)
}

/** @throws CheckpointError `bad_config` for ids that the model has no logits for */
export function checkEndTokens(ids: readonly number[], vocab_size: number, file: string): void {
  const unknown = ids.find((id) => id >= vocab_size)
  if (unknown === undefined) return
  const expected = `ids below vocab_size (${vocab_size})`
  throw badConfig(file, "eos_token_id", "not a token of the vocabulary", expected, String(unknown))
}
