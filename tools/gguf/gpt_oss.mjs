// A gpt-oss checkpoint as llama.cpp knows the model: conversion/gpt_oss.py and src/models/openai-moe.cpp have its names.
// Weights get the types of ggml-org's MXFP4 files: experts as they are, all else Q8_0, routers and vectors F32.
import { CheckpointError } from "../../dist/src/checkpoint/errors.js"
import { readQuantizationConfig } from "../../dist/src/checkpoint/quantization_config.js"
import { parseGptOssConfig } from "../../dist/src/models/config.js"
import { dequantizeRow } from "../../dist/src/tensor/dequantize.js"
import { decodeFloats } from "../../dist/src/tensor/floats.js"
import { toMxfp4, toQ8_0 } from "./blocks.mjs"

/** Elements converted at once. */
const PIECE = 1 << 21

/** Of ggml's `llama_ftype`: mostly MXFP4 experts. */
const FILE_TYPE = 38

/** Modules of a layer: MLX's path, ggml's name, the type of its weight, and whether it has a bias. */
const LAYER = [
  ["input_layernorm", "attn_norm", "F32", false],
  ["self_attn.q_proj", "attn_q", "Q8_0", true],
  ["self_attn.k_proj", "attn_k", "Q8_0", true],
  ["self_attn.v_proj", "attn_v", "Q8_0", true],
  ["self_attn.o_proj", "attn_output", "Q8_0", true],
  ["post_attention_layernorm", "post_attention_norm", "F32", false],
  ["mlp.router", "ffn_gate_inp", "F32", true],
  ["mlp.experts.gate_proj", "ffn_gate_exps", "MXFP4", true],
  ["mlp.experts.up_proj", "ffn_up_exps", "MXFP4", true],
  ["mlp.experts.down_proj", "ffn_down_exps", "MXFP4", true],
]

/**
 * What `writeGguf` takes of a checkpoint in MLX's layout.
 *
 * @throws {CheckpointError} where llama.cpp has no such model, or tensors are missing or stored otherwise
 */
export function gptOssGguf(checkpoint, name) {
  const config = parseGptOssConfig(checkpoint.config)
  checkConfig(config)
  const reader = new Reader(checkpoint, readQuantizationConfig(checkpoint.config))
  const tensors = [reader.weight("model.embed_tokens", "token_embd", "Q8_0")]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const [from, to] = [`model.layers.${layer}`, `blk.${layer}`]
    for (const [path, module, type, hasBias] of LAYER) {
      tensors.push(reader.weight(`${from}.${path}`, `${to}.${module}`, type))
      if (hasBias) tensors.push(reader.vector(`${from}.${path}.bias`, `${to}.${module}.bias`))
    }
    tensors.push(reader.vector(`${from}.self_attn.sinks`, `${to}.attn_sinks.weight`))
  }
  const head = config.tie_word_embeddings ? "model.embed_tokens" : "lm_head"
  tensors.push(reader.weight("model.norm", "output_norm", "F32"), reader.weight(head, "output", "Q8_0"))
  return { metadata: metadataOf(config, name), tensors }
}

/** What llama.cpp takes for granted. */
function checkConfig({ layer_types, attention_bias }) {
  const wrong = layer_types.findIndex((type, i) => (type === "sliding_attention") !== (i % 2 === 0))
  if (wrong >= 0) throw unknown(`layer_types[${wrong}]`, "sliding and full layers in turn", layer_types[wrong])
  if (!attention_bias) throw unknown("attention_bias", "true", "false")
}

function unknown(field, expected, found) {
  const problem = "llama.cpp has no such gpt-oss"
  return new CheckpointError({ code: "bad_config", file: "config.json", field, problem, expected, found })
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
  const own =
    (type) =>
    ([key, value]) => [`gpt-oss.${key}`, type, value]
  return [
    ["general.architecture", "string", "gpt-oss"],
    ["general.name", "string", name],
    ["general.file_type", "uint32", FILE_TYPE],
    ["general.quantization_version", "uint32", 2],
    ...Object.entries(counts).map(own("uint32")),
    ...Object.entries(reals).map(own("float32")),
    ...(yarn ? [["gpt-oss.rope.scaling.type", "string", "yarn"]] : []),
    // llama.cpp knows models without a vocabulary, but node-llama-cpp does not: so many names, and nothing is made of them.
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", "default"],
    ["tokenizer.ggml.tokens", "strings", Array.from({ length: config.vocab_size }, (_, id) => `<${id}>`)],
    ["tokenizer.ggml.merges", "strings", []],
  ]
}

/** Tensors of a checkpoint as those of a GGUF. */
class Reader {
  constructor(checkpoint, quantization) {
    this.checkpoint = checkpoint
    this.quantization = quantization
  }

  /** A norm, a bias: any dense tensor, as it is. */
  vector(from, name) {
    const { dtype, shape } = this.checkpoint.info(from)
    const pieces = async function* () {
      yield new Uint8Array(floats(dtype, await bytesOf(this.checkpoint, from)).buffer)
    }
    return { name, type: "F32", shape, pieces: pieces.bind(this) }
  }

  /** The weight of a module, whatever it is stored as; experts must be MXFP4 already. */
  weight(path, module, type) {
    const name = `${module}.weight`
    const { shape, dtype } = this.checkpoint.info(`${path}.weight`)
    if (!this.checkpoint.tensors.has(`${path}.scales`)) {
      if (shape.length === 1) return this.vector(`${path}.weight`, name)
      if (type === "MXFP4") throw this.notMxfp4(path, dtype)
      const row = (bytes, K) => floats(dtype, bytes.weight, K)
      return this.rows(path, name, type, shape, ["weight"], row)
    }
    const quantization = this.quantization.quantizationOf(path)
    const { mode, bits } = quantization ?? {}
    const dims = [...shape.slice(0, -1), (shape.at(-1) * 32) / bits]
    if (type === "MXFP4") {
      if (mode !== "mxfp4") throw this.notMxfp4(path, mode)
      return this.rows(path, name, type, dims, ["weight", "scales"])
    }
    const floatsOf = this.checkpoint.info(`${path}.scales`).dtype
    const parts = mode === "affine" ? ["weight", "scales", "biases"] : ["weight", "scales"]
    const scaleType = mode === "affine" ? floatsOf : "float8_e8m0"
    const row = ({ weight, scales, biases }, K) => {
      const out = new Float32Array(K)
      dequantizeRow(quantization, weight, floats(scaleType, scales), biases ? floats(floatsOf, biases) : null, out)
      return out
    }
    return this.rows(path, name, type, dims, parts, row)
  }

  /** @param row floats of one row from the bytes of its parts; without it, the parts are those of MXFP4 */
  rows(path, name, type, shape, parts, row) {
    const K = shape.at(-1)
    const rows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1)
    const atOnce = Math.max(Math.floor(PIECE / K), 1)
    const { checkpoint } = this
    const pieces = async function* () {
      for (let first = 0; first < rows; first += atOnce) {
        const count = Math.min(atOnce, rows - first)
        const bytes = {}
        for (const part of parts) bytes[part] = await rowsOf(checkpoint, `${path}.${part}`, rows, first, count)
        if (!row) {
          yield toMxfp4(bytes.weight, bytes.scales)
          continue
        }
        const values = new Float32Array(count * K)
        for (let i = 0; i < count; i++) values.set(row(slicesOf(bytes, count, i), K), i * K)
        yield type === "Q8_0" ? toQ8_0(values) : new Uint8Array(values.buffer)
      }
    }
    return { name, type, shape, pieces }
  }

  notMxfp4(path, found) {
    return new CheckpointError({
      code: "bad_quantization",
      file: this.checkpoint.info(`${path}.weight`).file,
      tensor: `${path}.weight`,
      problem: "experts are taken over as they are stored",
      expected: "mxfp4",
      found,
      advice: "write one with `minerva synth --format mlx`",
    })
  }
}

/** Rows `first` to `first + count` of a tensor that has `rows` of them. */
async function rowsOf(checkpoint, name, rows, first, count) {
  const size = checkpoint.info(name).byteLength / rows
  const bytes = new Uint8Array(count * size)
  await checkpoint.read(name, first * size, bytes)
  return bytes
}

/** Row `i` of each part, of which there are `count`. */
function slicesOf(bytes, count, i) {
  const cut = ([part, all]) => {
    const size = all.byteLength / count
    return [part, all.subarray(i * size, (i + 1) * size)]
  }
  return Object.fromEntries(Object.entries(bytes).map(cut))
}

function bytesOf(checkpoint, name) {
  return rowsOf(checkpoint, name, 1, 0, 1)
}

function floats(dtype, bytes, count = bytes.byteLength / (dtype === "float32" ? 4 : dtype === "float8_e8m0" ? 1 : 2)) {
  const out = new Float32Array(count)
  decodeFloats(dtype, bytes, out)
  return out
}
