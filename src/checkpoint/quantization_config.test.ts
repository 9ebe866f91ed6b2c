import { describe, expect, it } from "vitest"
import { CheckpointError } from "./errors.js"
import { readQuantizationConfig } from "./quantization_config.js"

const AFFINE8 = { mode: "affine", bits: 8, group_size: 64 }
const MXFP4 = { mode: "mxfp4", bits: 4, group_size: 32 }

describe("MLX's quantization", () => {
  const quantization = {
    group_size: 32,
    bits: 4,
    mode: "mxfp4",
    "model.embed_tokens": { group_size: 64, bits: 8, mode: "affine" },
    "model.layers.0.mlp.router": { group_size: 64, bits: 8 },
    "model.layers.0.self_attn.q_proj": false,
    "model.layers.0.self_attn.k_proj": true,
    "model.layers.0.self_attn.v_proj": { mode: "nvfp4" },
    __proto__x: { bits: 2, group_size: 128 },
  }

  it.each([
    { quantization },
    { quantization_config: quantization },
    { quantization, quantization_config: quantization },
  ])("overrides the defaults by module", (config) => {
    const { format, quantizationOf } = readQuantizationConfig(config)
    expect(format).toBe("mlx")
    expect(quantizationOf("model.layers.0.mlp.experts.up_proj")).toEqual(MXFP4)
    expect(quantizationOf("model.embed_tokens")).toEqual(AFFINE8)
    // No mode is affine, though the default is mxfp4.
    expect(quantizationOf("model.layers.0.mlp.router")).toEqual(AFFINE8)
    expect(quantizationOf("model.layers.0.self_attn.q_proj")).toBeNull()
    expect(quantizationOf("model.layers.0.self_attn.k_proj")).toEqual(MXFP4)
    expect(quantizationOf("model.layers.0.self_attn.v_proj")).toEqual({ mode: "nvfp4", bits: 4, group_size: 16 })
    expect(quantizationOf("__proto__x")).toEqual({ mode: "affine", bits: 2, group_size: 128 })
    expect(quantizationOf("toString")).toEqual(MXFP4)
  })

  it("takes MLX's defaults for what is not said", () => {
    expect(readQuantizationConfig({ quantization: {} }).quantizationOf("x")).toEqual({ ...AFFINE8, bits: 4 })
    const mxfp8 = readQuantizationConfig({ quantization: { mode: "mxfp8" } })
    expect(mxfp8.quantizationOf("x")).toEqual({ mode: "mxfp8", bits: 8, group_size: 32 })
  })

  it.each([
    [{ bits: 7 }, "bits 2, 3, 4, 5, 6 or 8"],
    [{ group_size: 16 }, "group_size 32, 64 or 128"],
    [{ mode: "mxfp4", bits: 8 }, "mxfp4 with bits 4 and group_size 32"],
    [{ mode: "nvfp4", group_size: 32 }, "group_size 16"],
    [{ mode: "gguf" }, "affine, mxfp4, mxfp8 or nvfp4"],
    [{ bits: "8" }, "quantization.bits"],
    [{ "model.x": { bits: 7 } }, "model.x"],
    ["mxfp4", "quantization"],
  ])("refuses %j", (quantization, clue) => {
    expectFault(() => readQuantizationConfig({ quantization }), clue)
  })
})

describe("Hugging Face's quantization_config", () => {
  it("packs the experts and nothing else", () => {
    const quantization_config = {
      quant_method: "mxfp4",
      modules_to_not_convert: ["model.layers.*.self_attn", "lm_head"],
    }
    const { format, quantizationOf } = readQuantizationConfig({ quantization_config })
    expect(format).toBe("hf")
    expect(quantizationOf("model.layers.3.mlp.experts.gate_up_proj")).toEqual(MXFP4)
    expect(quantizationOf("model.layers.3.mlp.experts")).toEqual(MXFP4)
    for (const path of [
      "model.layers.3.self_attn.q_proj",
      "lm_head",
      "model.embed_tokens",
      "model.layers.0.mlp.router",
    ]) {
      expect(quantizationOf(path)).toBeNull()
    }
  })

  it("leaves experts dense that it says are", () => {
    const quantization_config = { quant_method: "mxfp4", modules_to_not_convert: ["model.layers.*.mlp.experts"] }
    expect(
      readQuantizationConfig({ quantization_config }).quantizationOf("model.layers.0.mlp.experts.down_proj"),
    ).toBeNull()
  })

  it.each(["awq", "gptq", 4, null])("refuses quant_method %j", (quant_method) => {
    expectFault(() => readQuantizationConfig({ quantization_config: { quant_method } }), "quant_method")
  })
})

it("says nothing is quantized when the config does not speak of it", () => {
  for (const config of [{}, { quantization: null }, null, 7, { quantization_config: null }]) {
    const { format, quantizationOf } = readQuantizationConfig(config)
    expect([format, quantizationOf("lm_head")]).toEqual([null, null])
  }
})

function expectFault(work: () => unknown, clue: string): void {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError)
    expect(error).toMatchObject({ code: "bad_quantization", message: expect.stringContaining(clue) })
    return
  }
  expect.unreachable("no error was thrown")
}
