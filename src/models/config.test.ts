import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CheckpointError } from "../checkpoint/errors.js"
import { parseGptOssConfig } from "./config.js"
import { PRESETS } from "./presets.js"

const GPT_OSS = PRESETS["gpt-oss-20b"]

describe("parseGptOssConfig", () => {
  it("reads the published config", () => {
    expect(parseGptOssConfig(GPT_OSS)).toEqual({
      model_type: "gpt_oss",
      num_hidden_layers: 24,
      hidden_size: 2880,
      intermediate_size: 2880,
      num_local_experts: 32,
      num_experts_per_tok: 4,
      vocab_size: 201088,
      head_dim: 64,
      num_attention_heads: 64,
      num_key_value_heads: 8,
      attention_bias: true,
      sliding_window: 128,
      layer_types: Array.from({ length: 24 }, (_, i) => (i % 2 ? "full_attention" : "sliding_attention")),
      rms_norm_eps: 1e-5,
      rope_theta: 150000,
      rope_scaling: {
        factor: 32,
        original_max_position_embeddings: 4096,
        beta_fast: 32,
        beta_slow: 1,
        truncate: false,
        attention_factor: undefined,
      },
      swiglu_alpha: 1.702,
      swiglu_limit: 7,
      max_position_embeddings: 131072,
      tie_word_embeddings: false,
      eos_token_ids: [200002],
      bos_token_id: null,
      pad_token_id: 199999,
    })
  })

  it("has transformers' defaults", () => {
    const path = new URL("../../../test/models/fixtures/default_config.json", import.meta.url)
    const written = JSON.parse(readFileSync(path, "utf8"))
    expect(parseGptOssConfig({ model_type: "gpt_oss" })).toEqual(parseGptOssConfig(written))
    expect(parseGptOssConfig(written)).toMatchObject({ num_hidden_layers: 36, num_local_experts: 128 })
  })

  it("understands both spellings of RoPE", () => {
    const { rope_scaling, rope_theta: _, ...rest } = GPT_OSS
    const other = parseGptOssConfig({ ...rest, rope_parameters: { ...rope_scaling, rope_theta: 5000, factor: 8 } })
    expect(other.rope_theta).toBe(5000)
    expect(other.rope_scaling?.factor).toBe(8)
    const plain = { ...rest, rope_parameters: { rope_type: "default", rope_theta: 10000 } }
    expect(parseGptOssConfig(plain)).toMatchObject({ rope_theta: 10000, rope_scaling: null })
    expect(parseGptOssConfig({ ...GPT_OSS, rope_scaling: null }).rope_scaling).toBeNull()
    const legacy = { type: "yarn", factor: 4, original_max_position_embeddings: 64 }
    expect(parseGptOssConfig({ ...GPT_OSS, rope_scaling: legacy }).rope_scaling?.factor).toBe(4)
  })

  it("understands aliases and lists", () => {
    const { num_local_experts: _, num_experts_per_tok: __, ...rest } = GPT_OSS
    const config = parseGptOssConfig({ ...rest, num_experts: 10, experts_per_token: 3, eos_token_id: [1, 2] })
    expect(config).toMatchObject({ num_local_experts: 10, num_experts_per_tok: 3, eos_token_ids: [1, 2] })
    expect(parseGptOssConfig({ ...GPT_OSS, eos_token_id: null }).eos_token_ids).toEqual([])
    const none = { eos_token_id: [-1, 2], bos_token_id: -1, pad_token_id: -1 }
    expect(parseGptOssConfig({ ...GPT_OSS, ...none })).toMatchObject({
      ...{ eos_token_ids: [2], bos_token_id: null, pad_token_id: null },
    })
    expect(parseGptOssConfig({ ...GPT_OSS, num_key_value_heads: null }).num_key_value_heads).toBe(64)
  })
})

function fault(config: unknown) {
  try {
    parseGptOssConfig(config, "dir/config.json")
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError)
    const { fault, message } = error as CheckpointError
    expect(message).toContain("dir/config.json")
    return { ...fault, message }
  }
  return expect.unreachable("no error was thrown")
}

describe("a bad config gets a typed error", () => {
  it.each(["llama", "", undefined, 7, "gpt_oss2"])("model_type %j, listing what is supported", (model_type) => {
    const { code, message } = fault({ ...GPT_OSS, model_type })
    expect(code).toBe("unsupported_model")
    expect(message).toContain("one of: gpt_oss")
  })

  it.each([
    ["hidden_size", 0],
    ["hidden_size", -5],
    ["hidden_size", 2.5],
    ["hidden_size", "2880"],
    ["hidden_size", 1e300],
    ["num_hidden_layers", 100000],
    ["vocab_size", {}],
    ["head_dim", 63],
    ["num_key_value_heads", 7],
    ["num_key_value_heads", 0],
    ["num_experts_per_tok", 33],
    ["layer_types", ["full_attention"]],
    ["layer_types", Array(24).fill("linear_attention")],
    ["sliding_window", 0],
    ["rms_norm_eps", 0],
    ["rms_norm_eps", "small"],
    ["rope_theta", -1],
    ["rope_scaling", "yarn"],
    ["rope_scaling", { rope_type: "llama3", factor: 8 }],
    ["rope_scaling", { rope_type: "yarn" }],
    ["rope_scaling", { rope_type: "yarn", factor: 0 }],
    ["tie_word_embeddings", "yes"],
    ["eos_token_id", 999999],
    ["eos_token_id", [-2]],
    ["attention_bias", 1],
    ["hidden_size", Number.NaN],
    ["rms_norm_eps", Number.NaN],
    ["swiglu_limit", Number.POSITIVE_INFINITY],
    ["swiglu_alpha", Number.NEGATIVE_INFINITY],
  ])("%s %j", (field, value) => {
    const found = fault({ ...GPT_OSS, [field]: value })
    expect(found.code).toBe("bad_config")
    expect(found.field?.startsWith(field)).toBe(true)
    if (typeof value === "number") expect(found.message).toContain(`found ${value}`)
  })

  it.each([null, undefined, 7, "{}", []])("%j instead of an object", (config) => {
    expect(fault(config).code).toMatch(/bad_config|unsupported_model/)
  })

  it("whatever is put in its fields", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(GPT_OSS)), fc.jsonValue(), (field, value) => {
        try {
          parseGptOssConfig({ ...GPT_OSS, [field]: value })
        } catch (error) {
          if (!(error instanceof CheckpointError)) throw error
        }
      }),
      { numRuns: 2000, seed: 2 },
    )
  })
})
