import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { memoryDirectory } from "../checkpoint/memory_directory.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { nodeWritableDirectory } from "../checkpoint/node_writable_directory.js"
import { readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { dequantizeRow, scaleDType } from "../tensor/dequantize.js"
import { decodeFloats } from "../tensor/floats.js"
import { parseGptOssConfig } from "./config.js"
import { gptOssLayout } from "./layout.js"
import { PRESETS } from "./presets.js"
import { randomTensor } from "./random_tensor.js"
import { synthesize } from "./synth.js"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-"))
})
afterAll(() => rm(folder, { recursive: true }))

const into = (name: string) => nodeWritableDirectory(join(folder, name))
const open = (name: string) => openCheckpoint(nodeDirectory(join(folder, name)))

async function read(name: string, tensor: string): Promise<Uint8Array> {
  const checkpoint = await open(name)
  const bytes = new Uint8Array(checkpoint.info(tensor).byteLength)
  await checkpoint.read(tensor, 0, bytes)
  await checkpoint.close()
  return bytes
}

describe("synthesize", () => {
  it.each(["mlx", "hf"] as const)("writes the %s layout, which opens", async (format) => {
    const progress: number[] = []
    const summary = await synthesize(into(format), {
      config: "tiny",
      format,
      layers: 3,
      shards: 3,
      onProgress: (done, total) => progress.push(done / total),
    })
    const checkpoint = await open(format)
    const config = parseGptOssConfig(checkpoint.config)
    expect(config.layer_types).toEqual(["sliding_attention", "full_attention", "sliding_attention"])
    const { quantizationOf, format: stored } = readQuantizationConfig(checkpoint.config)
    expect(stored).toBe(format)
    const layout = gptOssLayout(config, format, quantizationOf)
    const expected = layout.map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    const found = [...checkpoint.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    const sorted = (list: typeof found) => list.sort((a, b) => (a.name < b.name ? -1 : 1))
    expect(sorted(found)).toEqual(sorted(expected))
    expect(summary).toMatchObject({ tensors: layout.length, bytes: checkpoint.byteLength })
    expect(summary.files).toEqual(
      format === "mlx"
        ? [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`)
        : [0, 1, 2].map((i) => `model-0000${i}-of-00002.safetensors`),
    )
    expect(progress.at(-1)).toBe(1)
    const index = JSON.parse(await readFile(join(folder, format, "model.safetensors.index.json"), "utf8"))
    expect(index.metadata.total_size).toBe(checkpoint.byteLength)
    await checkpoint.close()
  })

  it("writes the same bytes for the same seed, and others for another", async () => {
    for (const [name, seed] of [
      ["a", 5],
      ["b", 5],
      ["c", 6],
    ] as const) {
      await synthesize(into(name), { config: "tiny", format: "mlx", layers: 1, seed })
    }
    const [a, b, c] = await Promise.all(
      ["a", "b", "c"].map((name) => readFile(join(folder, name, "model.safetensors"))),
    )
    expect(a.equals(b)).toBe(true)
    expect(a.equals(c)).toBe(false)
    expect(await readdir(join(folder, "a"))).toEqual([
      "config.json",
      "model.safetensors",
      "model.safetensors.index.json",
    ])
  })

  it("decides each layer's router for as many experts as answer a token, and leaves the rest alone", async () => {
    const options = { config: "tiny", format: "mlx", layers: 4, shards: 1 } as const
    await synthesize(into("random"), options)
    await synthesize(into("decided"), { ...options, routers: "decided" })
    const { num_experts_per_tok, num_local_experts } = PRESETS.tiny
    const chosen = new Set<string>()
    for (const layer of [0, 1, 2, 3]) {
      const bytes = await read("decided", `model.layers.${layer}.mlp.router.bias`)
      const bias = new Float32Array(num_local_experts as number)
      decodeFloats("bfloat16", bytes, bias)
      const raised = [...bias.keys()].filter((expert) => bias[expert] > 10)
      expect(raised).toHaveLength(num_experts_per_tok as number)
      chosen.add(String(raised))
    }
    expect(chosen.size).toBeGreaterThan(1)
    for (const tensor of ["model.layers.0.mlp.router.weight", "model.layers.1.self_attn.q_proj.bias"]) {
      expect(await read("decided", tensor)).toEqual(await read("random", tensor))
    }
  })

  it("keeps a float a float in config.json, for Python's sake", async () => {
    await synthesize(into("floats"), { config: "tiny", format: "hf", layers: 1 })
    const text = await readFile(join(folder, "floats", "config.json"), "utf8")
    expect(text).toContain('"swiglu_limit": 7.0,')
    expect(text).toContain('"sliding_window": 32,')
  })

  it("copies a tokenizer, and says when there is none", async () => {
    const options = { config: "tiny", format: "mlx", layers: 1 } as const
    const tokenizer = memoryDirectory(new Map([["tokenizer.json", new TextEncoder().encode("{}")]]))
    await synthesize(into("tokenizer"), { ...options, tokenizer })
    expect(await readFile(join(folder, "tokenizer", "tokenizer.json"), "utf8")).toBe("{}")
    const none = synthesize(into("none"), { ...options, tokenizer: memoryDirectory(new Map()) })
    await expect(none).rejects.toMatchObject({
      code: "file_missing",
      message: expect.stringContaining("tokenizer.json"),
    })
  })

  it("scales weights to keep activations of the order of one", async () => {
    await synthesize(into("scale"), { config: "tiny", format: "mlx", layers: 1 })
    for (const [path, K] of [
      ["lm_head", 256],
      ["model.layers.0.mlp.experts.down_proj", 192],
    ] as const) {
      const quantization = readQuantizationConfig({
        quantization: JSON.parse(await readFile(join(folder, "scale", "config.json"), "utf8")).quantization,
      }).quantizationOf(path)!
      const weight = await read("scale", `${path}.weight`)
      const values = new Float32Array((weight.length * 8) / quantization.bits)
      const floats = async (part: string) => {
        const out = new Float32Array(values.length / quantization.group_size)
        decodeFloats(scaleDType(quantization) ?? "bfloat16", await read("scale", `${path}.${part}`), out)
        return out
      }
      const biases = quantization.mode === "affine" ? await floats("biases") : null
      dequantizeRow(quantization, weight, await floats("scales"), biases, values)
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length
      expect(Math.abs(mean)).toBeLessThan(0.02 / Math.sqrt(K))
      expect(Math.sqrt(variance * K)).toBeGreaterThan(0.7)
      expect(Math.sqrt(variance * K)).toBeLessThan(1.4)
    }
  })
})

describe("randomTensor", () => {
  it("gives the same bytes however they are read", async () => {
    const tensor = {
      name: "w",
      dtype: "bfloat16",
      shape: [500],
      role: "weight",
      quantization: null,
      input_dims: 500,
    } as const
    const reader = randomTensor(tensor, 1)
    const whole = new Uint8Array(1000)
    await reader.read(0, whole)
    for (const [offset, length] of [
      [0, 1],
      [3, 5],
      [8, 400],
      [997, 3],
    ]) {
      const piece = new Uint8Array(length + 1).subarray(1)
      await reader.read(offset, piece)
      expect(piece).toEqual(whole.subarray(offset, offset + length))
    }
  })
})
