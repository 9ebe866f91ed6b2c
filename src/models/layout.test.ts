import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { type QuantizationFormat, readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { DTYPES } from "../checkpoint/safetensors.js"
import { parseGptOssConfig } from "./config.js"
import { byteLengthOf, countParameters, gptOssLayout } from "./layout.js"
import { type ConfigJson, PRESETS, publishedConfig } from "./presets.js"

interface Recorded {
  config: ConfigJson
  hf_quantization_config: unknown
  mlx_quantization: unknown
  total_size: number
  hf: Record<string, [dtype: string, shape: number[]]>
  mlx: Record<string, [dtype: string, shape: number[]]>
}

/** What mlx-lm's converter made of a checkpoint in OpenAI's layout: tools/reference/mlx_layout.py */
const recorded: Recorded = JSON.parse(
  readFileSync(new URL("../../../test/models/fixtures/mlx_layout.json", import.meta.url), "utf8"),
)

function layoutOf(config: ConfigJson, format: QuantizationFormat) {
  return gptOssLayout(parseGptOssConfig(config), format, readQuantizationConfig(config).quantizationOf)
}

const byName = (layout: ReturnType<typeof layoutOf>) =>
  Object.fromEntries(layout.map(({ name, dtype, shape }) => [name, [dtype, shape]]))

const recordedByName = (tensors: Recorded["mlx"]) =>
  Object.fromEntries(Object.entries(tensors).map(([name, [dtype, shape]]) => [name, [DTYPES[dtype], shape]]))

const total = (layout: ReturnType<typeof layoutOf>) => layout.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0)

describe("gptOssLayout", () => {
  it("is what mlx-lm's converter writes", () => {
    const layout = layoutOf({ ...recorded.config, quantization: recorded.mlx_quantization }, "mlx")
    expect(byName(layout)).toEqual(recordedByName(recorded.mlx))
    expect(total(layout)).toBe(recorded.total_size)
  })

  it("is what mlx-lm's converter reads", () => {
    const layout = layoutOf({ ...recorded.config, quantization_config: recorded.hf_quantization_config }, "hf")
    expect(byName(layout)).toEqual(recordedByName(recorded.hf))
  })

  it("has dense experts as transformers saves them", () => {
    const layout = byName(layoutOf(recorded.config, "hf"))
    expect(layout["model.layers.1.mlp.experts.gate_up_proj"]).toEqual(["bfloat16", [6, 192, 256]])
    expect(layout["model.layers.1.mlp.experts.down_proj"]).toEqual(["bfloat16", [6, 128, 192]])
    expect(layout["model.layers.1.mlp.experts.gate_up_proj_bias"]).toEqual(["bfloat16", [6, 256]])
  })

  // Counts and sizes of the published repositories' indices; the last by the same rules.
  it.each([
    ["gpt-oss-20b", "mlx", 775, 12_076_119_168],
    ["gpt-oss-20b", "hf", 459, 13_761_264_768],
    ["gpt-oss-120b", "hf", 687, 65_248_815_744],
    ["gpt-oss-120b", "mlx", 1159, 63_254_703_744],
  ] as const)("of %s in %s has %i tensors of %i bytes", (preset, format, tensors, bytes) => {
    const layout = layoutOf(publishedConfig(PRESETS[preset], format), format)
    expect(layout.length).toBe(tensors)
    expect(total(layout)).toBe(bytes)
    expect(new Set(layout.map(({ name }) => name)).size).toBe(tensors)
  })

  it("keeps the types of the layers that remain", () => {
    const layer_types = ["full_attention", "full_attention", "sliding_attention"]
    const three = { ...recorded.config, num_hidden_layers: 3, layer_types }
    expect(publishedConfig(three, "hf", 2).layer_types).toEqual(layer_types.slice(0, 2))
    expect(publishedConfig(three, "hf").layer_types).toEqual(layer_types)
    expect(publishedConfig(three, "hf", 4).layer_types).toHaveLength(4)
  })

  it("leaves out a tied head and absent biases", () => {
    const config = { ...recorded.config, tie_word_embeddings: true, attention_bias: false }
    const names = layoutOf(config, "mlx").map(({ name }) => name)
    expect(names).not.toContain("lm_head.weight")
    expect(names.filter((name) => name.endsWith("self_attn.q_proj.bias"))).toEqual([])
    expect(names).toContain("model.layers.0.mlp.router.bias")
  })

  it("leaves weights dense whose rows do not divide into groups, and says so in the config", () => {
    const config = publishedConfig({ ...recorded.config, hidden_size: 96 }, "mlx")
    expect(config.quantization).toMatchObject({ "model.layers.0.self_attn.q_proj": false })
    const layout = byName(layoutOf(config, "mlx"))
    expect(layout["model.layers.0.self_attn.q_proj.weight"]).toEqual(["bfloat16", [256, 96]])
    expect(layout["model.layers.0.self_attn.o_proj.weight"]).toEqual(["uint32", [96, 64]])
    expect(layout["model.layers.0.mlp.experts.up_proj.weight"]).toEqual(["uint32", [6, 128, 12]])
    const everywhere = gptOssLayout(parseGptOssConfig(config), "mlx", () => ({
      mode: "affine",
      bits: 4,
      group_size: 64,
    }))
    expect(byName(everywhere)["model.layers.0.self_attn.q_proj.weight"]).toEqual(["bfloat16", [256, 96]])
  })
})

describe("countParameters", () => {
  // gpt-oss model card, table 1, in billions.
  it.each([
    ["gpt-oss-20b", 20.91, 3.61],
    ["gpt-oss-120b", 116.83, 5.13],
  ] as const)("of %s is what the model card says", (preset, billions, active) => {
    const count = countParameters(parseGptOssConfig(PRESETS[preset]))
    expect(count.total / 1e9).toBeCloseTo(billions, 2)
    expect(count.active / 1e9).toBeCloseTo(active, 2)
  })
})
