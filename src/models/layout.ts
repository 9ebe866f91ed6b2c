import type { QuantizationFormat } from "../checkpoint/quantization_config.js"
import { type DType, itemSize } from "../tensor/dtype.js"
import { packedRowBytes, type Quantization } from "../tensor/quantization.js"
import { type Shape, sizeOf } from "../tensor/shape.js"
import type { GptOssConfig } from "./config.js"

/** What a stored tensor is to the module it belongs to. */
export type TensorRole = "weight" | "scales" | "biases" | "bias" | "norm" | "sinks"

/** One tensor as a published checkpoint stores it. */
export interface LayoutTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  readonly role: TensorRole
  /** Of the weight that this tensor is or belongs to; null where that is dense. */
  readonly quantization: Quantization | null
  /** Length of the rows of the weight (what an output is summed over); 1 for vectors. */
  readonly input_dims: number
}

/**
 * Every tensor of a gpt-oss checkpoint.
 *
 * - `mlx`: as mlx-lm converts (`mlx-community/gpt-oss-20b-MXFP4-Q8`): gate and up projections apart, packed rows as uint32.
 * - `hf`: as published by OpenAI (`openai/gpt-oss-20b`), experts as `_blocks` `[E, N, K / 32, 16]` and `_scales`; or, where
 *   `quantizationOf` says dense, as transformers saves them: `[E, K, N]`.
 *
 * @param quantizationOf by module path, see QuantizationConfig. Where rows do not divide into groups the weight is dense
 */
export function gptOssLayout(
  config: GptOssConfig,
  format: QuantizationFormat,
  quantizationOf: (path: string) => Quantization | null,
): LayoutTensor[] {
  const { hidden_size, head_dim, num_attention_heads, num_key_value_heads, attention_bias, vocab_size } = config
  const weight = (path: string, rows: readonly number[], K: number) => storedWeight(path, rows, K, quantizationOf(path))
  const linear = (path: string, N: number, K: number, bias: boolean) => [
    ...weight(path, [N], K),
    ...(bias ? [dense(`${path}.bias`, "bias", [N])] : []),
  ]
  const norm = (path: string) => dense(`${path}.weight`, "norm", [hidden_size])
  const tensors = [...weight("model.embed_tokens", [vocab_size], hidden_size)]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`
    const attention = `${path}.self_attn`
    const [queries, keys] = [num_attention_heads * head_dim, num_key_value_heads * head_dim]
    tensors.push(
      norm(`${path}.input_layernorm`),
      ...linear(`${attention}.q_proj`, queries, hidden_size, attention_bias),
      ...linear(`${attention}.k_proj`, keys, hidden_size, attention_bias),
      ...linear(`${attention}.v_proj`, keys, hidden_size, attention_bias),
      ...linear(`${attention}.o_proj`, hidden_size, queries, attention_bias),
      dense(`${attention}.sinks`, "sinks", [num_attention_heads]),
      norm(`${path}.post_attention_layernorm`),
      ...linear(`${path}.mlp.router`, config.num_local_experts, hidden_size, true),
      ...experts(config, `${path}.mlp.experts`, format, quantizationOf),
    )
  }
  tensors.push(norm("model.norm"))
  if (!config.tie_word_embeddings) tensors.push(...weight("lm_head", [vocab_size], hidden_size))
  return tensors
}

/** The modules that MLX may quantize, with the length of their rows. */
export function gptOssWeights(config: GptOssConfig): { path: string; input_dims: number }[] {
  return gptOssLayout(config, "mlx", () => null)
    .filter(({ role }) => role === "weight")
    .map(({ name, input_dims }) => ({ path: name.replace(/\.weight$/, ""), input_dims }))
}

/** Bytes of the tensor's data. */
export function byteLengthOf({ dtype, shape }: LayoutTensor): number {
  return sizeOf(shape) * itemSize(dtype)
}

/**
 * Parameters in all, and active per token as OpenAI counts them (gpt-oss model card, arXiv 2508.10925, table 1): the chosen
 * experts and the unembedding, but not the embedding.
 */
export function countParameters(config: GptOssConfig): { total: number; active: number } {
  const { num_experts_per_tok, num_local_experts, tie_word_embeddings } = config
  let [total, active] = [0, 0]
  for (const { name, shape } of gptOssLayout(config, "mlx", () => null)) {
    const size = sizeOf(shape)
    total += size
    if (name.includes(".experts.")) active += (size / num_local_experts) * num_experts_per_tok
    else if (tie_word_embeddings || !name.startsWith("model.embed_tokens")) active += size
  }
  return { total, active }
}

function experts(
  config: GptOssConfig,
  path: string,
  format: QuantizationFormat,
  quantizationOf: (path: string) => Quantization | null,
): LayoutTensor[] {
  const { num_local_experts: E, hidden_size, intermediate_size } = config
  const projections: [name: string, N: number, K: number][] = [
    ["gate_proj", intermediate_size, hidden_size],
    ["up_proj", intermediate_size, hidden_size],
    ["down_proj", hidden_size, intermediate_size],
  ]
  if (format === "mlx") {
    return projections.flatMap(([name, N, K]) => [
      ...storedWeight(`${path}.${name}`, [E, N], K, quantizationOf(`${path}.${name}`)),
      dense(`${path}.${name}.bias`, "bias", [E, N]),
    ])
  }
  const fused: typeof projections = [["gate_up_proj", 2 * intermediate_size, hidden_size], projections[2]]
  return fused.flatMap(([name, N, K]) => [
    ...huggingFaceExperts(`${path}.${name}`, E, N, K, quantizationOf(path)),
    dense(`${path}.${name}_bias`, "bias", [E, N]),
  ])
}

function huggingFaceExperts(
  path: string,
  E: number,
  N: number,
  K: number,
  quantization: Quantization | null,
): LayoutTensor[] {
  if (!quantization) {
    return [{ name: path, dtype: "bfloat16", shape: [E, K, N], role: "weight", quantization, input_dims: K }]
  }
  const { group_size } = quantization
  const groups = Math.ceil(K / group_size)
  const part = { dtype: "uint8", quantization, input_dims: K } as const
  return [
    {
      ...part,
      name: `${path}_blocks`,
      role: "weight",
      shape: [E, N, groups, packedRowBytes(quantization, group_size)],
    },
    { ...part, name: `${path}_scales`, role: "scales", shape: [E, N, groups] },
  ]
}

/** MLX's parts of one weight: `.weight` and, when quantized, `.scales` and (affine) `.biases`. */
function storedWeight(
  path: string,
  rows: readonly number[],
  K: number,
  quantization: Quantization | null,
): LayoutTensor[] {
  if (!quantization || K % quantization.group_size !== 0) {
    return [{ ...dense(`${path}.weight`, "weight", [...rows, K]), input_dims: K }]
  }
  const affine = quantization.mode === "affine"
  const part = { quantization, input_dims: K }
  const words = packedRowBytes(quantization, K) / itemSize("uint32")
  const perGroup = {
    ...part,
    shape: [...rows, K / quantization.group_size],
    dtype: affine ? "bfloat16" : "uint8",
  } as const
  return [
    { ...part, name: `${path}.weight`, role: "weight", dtype: "uint32", shape: [...rows, words] },
    { ...perGroup, name: `${path}.scales`, role: "scales" },
    ...(affine ? [{ ...perGroup, name: `${path}.biases`, role: "biases" } as const] : []),
  ]
}

function dense(name: string, role: TensorRole, shape: Shape): LayoutTensor {
  return { name, dtype: "bfloat16", shape, role, quantization: null, input_dims: 1 }
}
