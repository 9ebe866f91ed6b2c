import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { CheckpointError } from "./errors.js"
import { inferQuantization, readQuantizationConfig } from "./quantization_config.js"

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
    [{ bits: Number.POSITIVE_INFINITY }, "quantization.bits"],
    [{ group_size: Number.NaN }, 'found {"group_size":"NaN"}'],
    [{ "model.x": { bits: 7 } }, "model.x"],
    ["mxfp4", "quantization"],
  ])("refuses %j", (quantization, clue) => {
    expectFault(() => readQuantizationConfig({ quantization }), clue)
  })
})

describe("the shapes of what MLX packs", () => {
  /** Recorded from mx.quantize: see tools/reference/quantize_vectors.py. */
  const recorded: {
    mode: string
    bits: number
    group_size: number
    K: number
    weight: string
    scales: string
    values: string
  }[] = JSON.parse(
    readFileSync(new URL("../../../test/tensor/fixtures/quantize_vectors.json", import.meta.url), "utf8"),
  ).cases
  const byteLength = (base64: string) => Buffer.from(base64, "base64").length

  it.each(recorded)("tell $mode $bits bits, groups of $group_size", ({ mode, bits, group_size, K, ...raw }) => {
    const rows = byteLength(raw.values) / 4 / K
    // Scales of the affine mode are recorded as float32.
    const dtype = mode === "affine" ? "float32" : "uint8"
    const groups = byteLength(raw.scales) / rows / (mode === "affine" ? 4 : 1)
    const scales = { dtype, shape: [rows, groups] } as const
    for (const [packed, size] of [
      ["uint32", 4],
      ["uint8", 1],
    ] as const) {
      const weight = { dtype: packed, shape: [rows, byteLength(raw.weight) / rows / size] }
      expect(inferQuantization(weight, scales, K)).toEqual({ mode, bits, group_size })
    }
  })

  it.each([
    ["7 bits", [2, 28], "float32", [2, 2]],
    ["groups of 256", [2, 16], "float32", [2, 0.5]],
    ["groups that do not fit", [2, 16], "float32", [2, 3]],
    ["no scales", [2, 16], "float32", []],
    ["mxfp4 in groups of 64", [2, 16], "uint8", [2, 2]],
    ["6 bits with byte scales", [2, 24], "uint8", [2, 4]],
  ] as const)("of no quantization, %s, tell nothing", (_, words, dtype, groups) => {
    expect(inferQuantization({ dtype: "uint32", shape: words }, { dtype, shape: groups }, 128)).toBeNull()
  })
})

it("knows which modules the config names", () => {
  const { names } = readQuantizationConfig({ quantization: { bits: 4, group_size: 64, a: { bits: 8 }, b: false } })
  expect(["a", "b", "c", "bits", "toString"].map(names)).toEqual([true, true, false, false, false])
  expect(readQuantizationConfig({ quantization_config: { quant_method: "mxfp4" } }).names("a.experts")).toBe(false)
  expect(readQuantizationConfig({ quantization: { bits: 5 } }).quantizationOf("x")).toMatchObject({ bits: 5 })
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
