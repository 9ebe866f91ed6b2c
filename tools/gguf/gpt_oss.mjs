// A gpt-oss checkpoint as llama.cpp knows the model: conversion/gpt_oss.py and src/models/openai-moe.cpp have its names.
// Weights get the types of ggml-org's MXFP4 files: experts as they are, all else Q8_0, routers and vectors F32.
import { CheckpointError } from "../../dist/src/checkpoint/errors.js"
import { readQuantizationConfig } from "../../dist/src/checkpoint/quantization_config.js"
import { parseGptOssConfig } from "../../dist/src/models/config.js"
import { weightReader } from "./weights.mjs"

/** Of ggml's `llama_ftype`: mostly MXFP4 experts. */
const FILE_TYPE = 38

/** The projections of a layer, MLX's path and ggml's name: all have a weight and a bias. */
const MATRICES = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
}
const EXPERTS = {
  "mlp.experts.gate_proj": "ffn_gate_exps",
  "mlp.experts.up_proj": "ffn_up_exps",
  "mlp.experts.down_proj": "ffn_down_exps",
}

/** Its vectors, by the names of the tensors. */
const VECTORS = {
  "input_layernorm.weight": "attn_norm.weight",
  "self_attn.sinks": "attn_sinks.weight",
  "post_attention_layernorm.weight": "post_attention_norm.weight",
}

/**
 * What `writeGguf` takes of a checkpoint in MLX's layout.
 *
 * @throws {CheckpointError} where llama.cpp has no such model, or tensors are missing or stored otherwise
 */
export function gptOssGguf(checkpoint, name) {
  const config = parseGptOssConfig(checkpoint.config)
  const quantization = readQuantizationConfig(checkpoint.config)
  check(config, quantization)
  const { vector, matrix, experts } = weightReader(checkpoint, quantization)
  const tensors = [matrix("model.embed_tokens", "token_embd", "Q8_0")]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const [from, to] = [`model.layers.${layer}`, `blk.${layer}`]
    const both = (kind, modules, type) =>
      Object.entries(modules).flatMap(([path, module]) => [
        kind(`${from}.${path}`, `${to}.${module}`, type),
        vector(`${from}.${path}.bias`, `${to}.${module}.bias`),
      ])
    tensors.push(
      ...Object.entries(VECTORS).map(([path, name]) => vector(`${from}.${path}`, `${to}.${name}`)),
      ...both(matrix, MATRICES, "Q8_0"),
      ...both(matrix, { "mlp.router": "ffn_gate_inp" }, "F32"),
      ...both(experts, EXPERTS),
    )
  }
  const head = config.tie_word_embeddings ? "model.embed_tokens" : "lm_head"
  tensors.push(vector("model.norm.weight", "output_norm.weight"), matrix(head, "output", "Q8_0"))
  return { metadata: metadataOf(config, name), tensors }
}

/** Refuses what llama.cpp does not know, and layouts that are not read here. */
function check({ layer_types, attention_bias }, { format }) {
  const refuse = (field, problem, expected, found) => {
    throw new CheckpointError({ code: "bad_config", file: "config.json", field, problem, expected, found })
  }
  if (format !== "mlx") {
    const advice = "MLX's, as `minerva synth --format mlx` writes it"
    refuse("quantization", "weights are not taken from this layout", advice, format ?? "none")
  }
  const odd = layer_types.findIndex((type, i) => (type === "sliding_attention") !== (i % 2 === 0))
  const problem = "llama.cpp has no such gpt-oss"
  if (odd >= 0) refuse(`layer_types[${odd}]`, problem, "sliding and full layers in turn", layer_types[odd])
  if (!attention_bias) refuse("attention_bias", problem, "true", "false")
}

function metadataOf(config, name) {
  const { rope_scaling: yarn } = config
  const counts = {
    block_count: config.num_hidden_layers,
    context_length: config.max_position_embeddings,
    embedding_length: config.hidden_size,
    feed_forward_length: config.intermediate_size,
    expert_feed_forward_length: config.intermediate_size,
    expert_count: config.num_local_experts,
    expert_used_count: config.num_experts_per_tok,
    "attention.head_count": config.num_attention_heads,
    "attention.head_count_kv": config.num_key_value_heads,
    "attention.key_length": config.head_dim,
    "attention.value_length": config.head_dim,
    "attention.sliding_window": config.sliding_window,
    ...(yarn && { "rope.scaling.original_context_length": yarn.original_max_position_embeddings }),
  }
  const reals = {
    "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
    "rope.freq_base": config.rope_theta,
    ...(yarn && {
      "rope.scaling.factor": yarn.factor,
      "rope.scaling.yarn_beta_fast": yarn.beta_fast,
      "rope.scaling.yarn_beta_slow": yarn.beta_slow,
    }),
  }
  const own = (type, values) => Object.entries(values).map(([key, value]) => [`gpt-oss.${key}`, type, value])
  return [
    ["general.architecture", "string", "gpt-oss"],
    ["general.name", "string", name],
    ["general.file_type", "uint32", FILE_TYPE],
    ["general.quantization_version", "uint32", 2],
    ...own("uint32", counts),
    ...own("float32", reals),
    ...own("string", yarn ? { "rope.scaling.type": "yarn" } : {}),
    // llama.cpp knows models without a vocabulary, but node-llama-cpp does not: so many names, and nothing is made of them.
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", "default"],
    ["tokenizer.ggml.tokens", "strings", Array.from({ length: config.vocab_size }, (_, id) => `<${id}>`)],
    ["tokenizer.ggml.merges", "strings", []],
  ]
}
