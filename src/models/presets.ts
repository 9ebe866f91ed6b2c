import type { QuantizationFormat } from "../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "./config.js"
import { gptOssWeights } from "./layout.js"

/** config.json as an object. */
export type ConfigJson = Readonly<Record<string, unknown>>

/** config.json of openai/gpt-oss-20b, without how it is quantized. */
const GPT_OSS_20B = {
  architectures: ["GptOssForCausalLM"],
  attention_bias: true,
  attention_dropout: 0,
  eos_token_id: 200002,
  experts_per_token: 4,
  head_dim: 64,
  hidden_act: "silu",
  hidden_size: 2880,
  initial_context_length: 4096,
  initializer_range: 0.02,
  intermediate_size: 2880,
  max_position_embeddings: 131072,
  model_type: "gpt_oss",
  num_attention_heads: 64,
  num_experts_per_tok: 4,
  num_hidden_layers: 24,
  num_key_value_heads: 8,
  num_local_experts: 32,
  output_router_logits: false,
  pad_token_id: 199999,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 32,
    original_max_position_embeddings: 4096,
    rope_type: "yarn",
    truncate: false,
  },
  rope_theta: 150000,
  router_aux_loss_coef: 0.9,
  sliding_window: 128,
  swiglu_limit: 7,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  use_cache: true,
  vocab_size: 201088,
}

/** Shapes that `synthesize` knows by name. */
export const PRESETS = {
  "gpt-oss-20b": GPT_OSS_20B,
  "gpt-oss-120b": { ...GPT_OSS_20B, num_hidden_layers: 36, num_local_experts: 128 },
  tiny: {
    ...GPT_OSS_20B,
    eos_token_id: 2,
    pad_token_id: 0,
    hidden_size: 256,
    intermediate_size: 192,
    num_attention_heads: 8,
    num_hidden_layers: 2,
    num_key_value_heads: 2,
    num_local_experts: 8,
    sliding_window: 32,
    vocab_size: 512,
  },
} as const satisfies Record<string, ConfigJson>

export type PresetName = keyof typeof PRESETS

const HF_MXFP4 = {
  modules_to_not_convert: ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
  quant_method: "mxfp4",
}

/**
 * The config.json a publisher would write: with every layer's type, and the quantization of OpenAI (`hf`: MXFP4 experts) or
 * of mlx-community's MXFP4-Q8 (`mlx`: MXFP4 experts, all else affine with 8 bits in groups of 64).
 *
 * @param layers how many layers to keep, if not all that `config` says
 * @throws CheckpointError when the config is not a valid gpt-oss config
 */
export function publishedConfig(config: ConfigJson, format: QuantizationFormat, layers?: number): ConfigJson {
  const { quantization: _, quantization_config: __, ...dense } = config
  const cut = layers === undefined ? dense : keepLayers(dense, layers)
  const parsed = parseGptOssConfig(cut)
  const complete = { ...cut, layer_types: parsed.layer_types }
  if (format === "hf") return { ...complete, quantization_config: HF_MXFP4 }
  const quantization: Record<string, unknown> = { group_size: 32, bits: 4, mode: "mxfp4" }
  for (const { path, input_dims } of gptOssWeights(parsed)) {
    if (path.includes(".experts.")) continue
    // mlx-lm leaves weights dense whose rows do not divide into groups.
    quantization[path] = input_dims % 64 === 0 ? { group_size: 64, bits: 8, mode: "affine" } : false
  }
  return { ...complete, quantization, quantization_config: quantization }
}

/** The first layers keep their types; more layers than there were alternate anew. */
function keepLayers(config: ConfigJson, layers: number): ConfigJson {
  const { layer_types } = config
  const kept = Array.isArray(layer_types) && layers <= layer_types.length ? layer_types.slice(0, layers) : undefined
  return { ...config, num_hidden_layers: layers, layer_types: kept }
}

const FLOAT_FIELDS = ["attention_dropout", "beta_fast", "beta_slow", "factor", "swiglu_alpha", "swiglu_limit"]

/**
 * A config as the text of config.json. Fields that are floats by type keep a fraction, for transformers refuses
 * `"swiglu_limit": 7`, and JavaScript does not tell 7 from 7.0.
 */
export function configText(config: ConfigJson): string {
  const whole = new RegExp(`("(?:${FLOAT_FIELDS.join("|")})": -?\\d+)(?=[,\\s])`, "g")
  return `${JSON.stringify(config, null, 2)}\n`.replace(whole, "$1.0")
}
