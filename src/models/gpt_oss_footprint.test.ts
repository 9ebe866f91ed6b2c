import { describe, expect, it } from "vitest"
import { parseGptOssConfig } from "./config.js"
import { countParameters, kvCacheBytes, weightBytesPerToken } from "./gpt_oss_footprint.js"

const published = (num_hidden_layers: number, num_local_experts: number) =>
  parseGptOssConfig({
    model_type: "gpt_oss",
    num_hidden_layers,
    num_local_experts,
    num_experts_per_tok: 4,
    hidden_size: 2880,
    intermediate_size: 2880,
    head_dim: 64,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    vocab_size: 201088,
  })

const billions = (count: number) => (count / 1e9).toFixed(2)

describe("countParameters", () => {
  // OpenAI's model card, table 1: 20.91B and 116.83B in all, 3.61B and 5.13B active.
  it.each([
    ["20b", 24, 32, "20.91", "3.61"],
    ["120b", 36, 128, "116.83", "5.13"],
  ])("agrees with the model card for gpt-oss-%s", (_, layers, experts, total, active) => {
    const count = countParameters(published(layers, experts))
    expect(billions(count.total)).toBe(total)
    expect(billions(count.active)).toBe(active)
  })
})

it("reads the chosen share of the experts and no input embedding", () => {
  const tensors = [
    ["model.embed_tokens.weight", 1000],
    ["model.layers.0.mlp.experts.gate_proj.weight", 320],
    ["model.layers.0.self_attn.q_proj.weight", 7],
    ["lm_head.weight", 1000],
  ] as const
  expect(weightBytesPerToken(published(24, 32), tensors)).toBe(40 + 7 + 1000)
})

it("lets only full layers grow with the context", () => {
  const config = published(24, 32)
  const perToken = 2 * 8 * 64 * 4
  expect(kvCacheBytes(config, 8192) - kvCacheBytes(config, 4096)).toBe(12 * 4096 * perToken)
})
