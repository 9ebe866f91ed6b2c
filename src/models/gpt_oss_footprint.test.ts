import { expect, it } from "vitest"
import { parseGptOssConfig } from "./config.js"
import { cacheBytesPerToken, weightBytesPerToken } from "./gpt_oss_footprint.js"

/** gpt-oss-20b's, but for what the parser fills in. */
const config = parseGptOssConfig({
  model_type: "gpt_oss",
  num_hidden_layers: 24,
  num_local_experts: 32,
  num_key_value_heads: 8,
})

it("reads the chosen share of the experts and no input embedding", () => {
  const tensors = [
    ["model.embed_tokens.weight", 1000],
    ["model.layers.0.mlp.experts.gate_proj.weight", 320],
    ["model.layers.0.self_attn.q_proj.weight", 7],
    ["lm_head.weight", 1000],
  ] as const
  expect(weightBytesPerToken(config, tensors)).toBe(40 + 7 + 1000)
})

it("reads the window of sliding layers, all of full ones", () => {
  const vector = { float32: 64 * 4, float16: 64 * 2 } as const
  for (const format of ["float32", "float16"] as const) {
    const perToken = 2 * 8 * vector[format]
    expect(cacheBytesPerToken(config, 100, format)).toBe(24 * 100 * perToken)
    expect(cacheBytesPerToken(config, 4096, format)).toBe((12 * 128 + 12 * 4096) * perToken)
  }
})
