import * as mx from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import type { KvLayer } from "../cache/kv_layout.js"
import type { PagedLayer } from "../cache/paged_layer.js"
import { Embedding } from "../nn/embedding.js"
import { Linear } from "../nn/linear.js"
import { Module, type WeightSource } from "../nn/module.js"
import { RMSNorm } from "../nn/rms_norm.js"
import { RoPE } from "../nn/rope.js"
import { SwitchGLU } from "../nn/switch_glu.js"
import type { GptOssConfig } from "./config.js"

class AttentionBlock extends Module {
  private readonly qProj: Linear
  private readonly kProj: Linear
  private readonly vProj: Linear
  private readonly oProj: Linear
  private readonly rope: RoPE
  private readonly window: number | null
  private sinks!: MxArray

  constructor(
    private readonly config: GptOssConfig,
    layer: number,
  ) {
    super()
    const { hidden_size, num_attention_heads, num_key_value_heads, head_dim, attention_bias } = config
    this.qProj = new Linear(hidden_size, num_attention_heads * head_dim, attention_bias)
    this.kProj = new Linear(hidden_size, num_key_value_heads * head_dim, attention_bias)
    this.vProj = new Linear(hidden_size, num_key_value_heads * head_dim, attention_bias)
    this.oProj = new Linear(num_attention_heads * head_dim, hidden_size, attention_bias)
    this.rope = new RoPE(head_dim, config.rope_theta, config.rope_scaling)
    this.window = windowOf(config, layer)
  }

  override load(source: WeightSource, path: string): void {
    super.load(source, path)
    this.sinks = source.take(`${path}.sinks`, [this.config.num_attention_heads])
  }

  forward(x: MxArray, positions: MxArray, pages: PagedLayer): MxArray {
    const { head_dim } = this.config
    const q = this.rope.forward(heads(this.qProj.forward(x), head_dim), positions)
    const k = this.rope.forward(heads(this.kProj.forward(x), head_dim), positions)
    const cached = pages.append(k, heads(this.vProj.forward(x), head_dim))
    const { window, sinks } = this
    const attended = mx.fast.attention(q, cached, positions, { scale: head_dim ** -0.5, window, sinks })
    return this.oProj.forward(mx.reshape(attended, [x.shape[0], -1]))
  }
}

/** Positions that a layer sees before and including its own; null for all. */
function windowOf({ layer_types, sliding_window }: GptOssConfig, layer: number): number | null {
  return layer_types[layer] === "sliding_attention" ? sliding_window : null
}

/** `[L, n * headDim]` -> `[L, n, headDim]` */
function heads(x: MxArray, headDim: number): MxArray {
  return mx.reshape(x, [x.shape[0], -1, headDim])
}

class MLPBlock extends Module {
  private readonly router: Linear
  private readonly experts: SwitchGLU

  constructor(private readonly config: GptOssConfig) {
    super()
    const { hidden_size, intermediate_size, num_local_experts, swiglu_alpha, swiglu_limit } = config
    this.router = new Linear(hidden_size, num_local_experts, true)
    this.experts = new SwitchGLU(hidden_size, intermediate_size, num_local_experts, true, {
      fn: "clamped_swiglu",
      alpha: swiglu_alpha,
      limit: swiglu_limit,
      offset: 1,
    })
  }

  forward(x: MxArray): MxArray {
    const logits = this.router.forward(x)
    const experts = mx.topK(logits, this.config.num_experts_per_tok)
    const weights = mx.softmax(mx.takeAlongAxis(logits, experts))
    return mx.weightedSum(this.experts.forward(x, experts), weights)
  }
}

class TransformerBlock extends Module {
  private readonly selfAttn: AttentionBlock
  private readonly mlp: MLPBlock
  private readonly inputLayernorm: RMSNorm
  private readonly postAttentionLayernorm: RMSNorm

  constructor(config: GptOssConfig, layer: number) {
    super()
    this.selfAttn = new AttentionBlock(config, layer)
    this.mlp = new MLPBlock(config)
    this.inputLayernorm = new RMSNorm(config.hidden_size, config.rms_norm_eps)
    this.postAttentionLayernorm = new RMSNorm(config.hidden_size, config.rms_norm_eps)
  }

  forward(x: MxArray, positions: MxArray, pages: PagedLayer): MxArray {
    const attended = mx.add(x, this.selfAttn.forward(this.inputLayernorm.forward(x), positions, pages))
    return mx.add(attended, this.mlp.forward(this.postAttentionLayernorm.forward(attended)))
  }
}

class GptOssModel extends Module {
  readonly embedTokens: Embedding
  private readonly layers: TransformerBlock[]
  private readonly norm: RMSNorm

  constructor(config: GptOssConfig) {
    super()
    this.embedTokens = new Embedding(config.vocab_size, config.hidden_size)
    this.layers = config.layer_types.map((_, layer) => new TransformerBlock(config, layer))
    this.norm = new RMSNorm(config.hidden_size, config.rms_norm_eps)
  }

  forward(ids: MxArray, positions: MxArray, pages: readonly PagedLayer[], wanted: MxArray | null): MxArray {
    const x = this.layers.reduce((x, layer, i) => layer.forward(x, positions, pages[i]), this.embedTokens.forward(ids))
    return this.norm.forward(wanted ? mx.take(x, wanted) : x)
  }
}

/** OpenAI's gpt-oss (arXiv 2508.10925): alternating sliding and full attention with sinks, and a mixture of experts. */
export class GptOss extends Module {
  private readonly model: GptOssModel
  private readonly lmHead: Linear

  constructor(readonly config: GptOssConfig) {
    super()
    this.model = new GptOssModel(config)
    this.lmHead = new Linear(config.hidden_size, config.vocab_size, false)
  }

  override load(source: WeightSource, path = ""): void {
    if (this.config.tie_word_embeddings) this.model.load(source, "model")
    else super.load(source, path)
  }

  /**
   * Records one step over `L` tokens, of one sequence or several.
   *
   * @param ids `[L]` uint32
   * @param positions `[L]` uint32: each row's in its sequence
   * @param pages where each layer's keys and values go, and what the rows see
   * @param wanted `[W]` uint32: the rows that logits are wanted of; null for all
   * @returns logits `[W, vocab_size]`, float32
   */
  forward(ids: MxArray, positions: MxArray, pages: readonly PagedLayer[], wanted: MxArray | null): MxArray {
    const hidden = this.model.forward(ids, positions, pages, wanted)
    return this.config.tie_word_embeddings ? this.model.embedTokens.asLinear(hidden) : this.lmHead.forward(hidden)
  }

  /** What each layer keeps of a token. */
  get layers(): KvLayer[] {
    const { num_key_value_heads, head_dim, layer_types } = this.config
    return layer_types.map((_, i) => ({ num_key_value_heads, head_dim, window: windowOf(this.config, i) }))
  }
}
