import { z } from "zod"
import { CheckpointError, quote } from "../checkpoint/errors.js"
import type { YarnScaling } from "../nn/rope.js"

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

/** Absent and null mean the same in Hugging Face's configs. */
function withDefault<T extends z.ZodType>(schema: T, value: z.output<T>) {
  return schema.nullish().transform((given) => given ?? value)
}

const yarn = z.object({
  factor: real,
  original_max_position_embeddings: withDefault(count(2 ** 30), 4096),
  beta_fast: withDefault(real, 32),
  beta_slow: withDefault(real, 1),
  truncate: withDefault(z.boolean(), true),
  attention_factor: real.nullish(),
  mscale: real.nullish(),
  mscale_all_dim: real.nullish(),
})

const ropeParameters = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: real.nullish(),
})

/** gpt-oss's own, which Hugging Face's GptOssConfig assumes when a config says nothing. */
const DEFAULT_YARN = {
  rope_type: "yarn",
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
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
  rope_theta: real.nullish(),
  rope_scaling: ropeParameters.nullable().optional(),
  rope_parameters: ropeParameters.nullable().optional(),
  swiglu_alpha: withDefault(real, 1.702),
  swiglu_limit: withDefault(real, 7),
  max_position_embeddings: withDefault(count(2 ** 30), 131072),
  tie_word_embeddings: withDefault(z.boolean(), false),
  eos_token_id: z.union([tokenId, z.array(tokenId).max(1024)]).nullish(),
  bos_token_id: tokenId.nullish(),
  pad_token_id: tokenId.nullish(),
})

/**
 * Reads a parsed config.json of `model_type` "gpt_oss". Defaults are those of transformers' GptOssConfig
 * (transformers, models/gpt_oss/configuration_gpt_oss.py).
 *
 * @param file the file's name, for messages
 * @throws CheckpointError `unsupported_model` (listing what is supported) or `bad_config`, naming the field
 */
export function parseGptOssConfig(config: unknown, file = "config.json"): GptOssConfig {
  const object = z.looseObject({}).safeParse(config)
  if (!object.success) throw bad(file, undefined, "not a JSON object", "an object", quote(config))
  checkModelType(object.data.model_type, file)
  const parsed = schema.safeParse(config)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw bad(file, issue.path.join("."), issue.message, undefined, quote(valueAt(config, issue.path)))
  }
  const raw = parsed.data
  const num_key_value_heads = raw.num_key_value_heads ?? raw.num_attention_heads
  const result: GptOssConfig = {
    model_type: "gpt_oss",
    num_hidden_layers: raw.num_hidden_layers,
    hidden_size: raw.hidden_size,
    intermediate_size: raw.intermediate_size,
    num_local_experts: raw.num_local_experts ?? raw.num_experts ?? 128,
    num_experts_per_tok: raw.num_experts_per_tok ?? raw.experts_per_token ?? 4,
    vocab_size: raw.vocab_size,
    head_dim: raw.head_dim ?? ("head_dim" in raw ? Math.floor(raw.hidden_size / raw.num_attention_heads) : 64),
    num_attention_heads: raw.num_attention_heads,
    num_key_value_heads,
    attention_bias: raw.attention_bias,
    sliding_window: raw.sliding_window,
    layer_types:
      raw.layer_types ??
      Array.from({ length: raw.num_hidden_layers }, (_, i) => (i % 2 === 0 ? "sliding_attention" : "full_attention")),
    rms_norm_eps: raw.rms_norm_eps,
    ...rope(raw, file),
    swiglu_alpha: raw.swiglu_alpha,
    swiglu_limit: raw.swiglu_limit,
    max_position_embeddings: raw.max_position_embeddings,
    tie_word_embeddings: raw.tie_word_embeddings,
    eos_token_ids: [raw.eos_token_id ?? []].flat(),
    bos_token_id: raw.bos_token_id ?? null,
    pad_token_id: raw.pad_token_id ?? null,
  }
  checkConsistent(result, file)
  return result
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

/** Both spellings: `rope_theta` with `rope_scaling`, and transformers 5's `rope_parameters` that holds both. */
function rope(
  raw: z.output<typeof schema>,
  file: string,
): { rope_theta: number; rope_scaling: GptOssConfig["rope_scaling"] } {
  const field = raw.rope_parameters ? "rope_parameters" : "rope_scaling"
  // An explicit null is plain RoPE (what mlx-lm takes it for); silence is gpt-oss's YaRN.
  const silent = raw.rope_parameters == null && raw.rope_scaling === undefined
  const parameters = silent ? DEFAULT_YARN : (raw.rope_parameters ?? raw.rope_scaling)
  const rope_theta = raw.rope_parameters?.rope_theta ?? raw.rope_theta ?? 150000
  const type = parameters && ("rope_type" in parameters ? parameters.rope_type : (parameters as { type?: string }).type)
  if (!parameters || type == null || type === "default") return { rope_theta, rope_scaling: null }
  if (type !== "yarn") {
    throw bad(file, `${field}.rope_type`, "this kind of RoPE scaling is not supported", "yarn or default", quote(type))
  }
  const parsed = yarn.safeParse(parameters)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const path = issue.path.join(".")
    throw bad(file, `${field}.${path}`, issue.message, undefined, quote(valueAt(parameters, issue.path)))
  }
  const { attention_factor, mscale, mscale_all_dim, ...rest } = parsed.data
  const ratio =
    mscale && mscale_all_dim ? yarnScale(rest.factor, mscale) / yarnScale(rest.factor, mscale_all_dim) : null
  return { rope_theta, rope_scaling: { ...rest, attention_factor: attention_factor ?? ratio ?? undefined } }
}

/** YaRN's attention scale with DeepSeek's multiplier (transformers, modeling_rope_utils.py, `get_mscale`). */
function yarnScale(factor: number, mscale: number): number {
  return factor > 1 ? 0.1 * mscale * Math.log(factor) + 1 : 1
}

function checkConsistent(config: GptOssConfig, file: string): void {
  const { num_attention_heads, num_key_value_heads, num_local_experts, num_experts_per_tok, layer_types } = config
  if (num_attention_heads % num_key_value_heads !== 0) {
    const expected = `a divisor of num_attention_heads (${num_attention_heads})`
    throw bad(file, "num_key_value_heads", "heads cannot be grouped", expected, String(num_key_value_heads))
  }
  if (num_experts_per_tok > num_local_experts) {
    const expected = `at most num_local_experts (${num_local_experts})`
    throw bad(file, "num_experts_per_tok", "more experts per token than experts", expected, String(num_experts_per_tok))
  }
  if (layer_types.length !== config.num_hidden_layers) {
    const expected = `one type per layer (num_hidden_layers is ${config.num_hidden_layers})`
    throw bad(file, "layer_types", "wrong number of layer types", expected, String(layer_types.length))
  }
  if (config.head_dim % 2 !== 0) {
    throw bad(file, "head_dim", "rotary embedding turns pairs", "an even number", String(config.head_dim))
  }
  for (const id of config.eos_token_ids) {
    if (id < config.vocab_size) continue
    const expected = `ids below vocab_size (${config.vocab_size})`
    throw bad(file, "eos_token_id", "not a token of the vocabulary", expected, String(id))
  }
}

function bad(file: string, field: string | undefined, problem: string, expected?: string, found?: string) {
  return new CheckpointError({ code: "bad_config", file, field, problem, expected, found })
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
}
