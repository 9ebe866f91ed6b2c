import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { CheckpointError } from "../checkpoint/errors.js"
import { memoryDirectory } from "../checkpoint/memory_directory.js"
import { safetensorsFile, tensorOf, textFile } from "../../test/checkpoint/memory_files.js"
import type { TensorToWrite } from "../checkpoint/safetensors_writer.js"
import { logitsOf } from "../../test/engine/scheduling.js"
import { itemSize } from "../tensor/dtype.js"
import { sizeOf } from "../tensor/shape.js"
import { fixturePath, openFixture, relativeError } from "../../test/models/fixtures.js"
import { loadGptOss } from "./load.js"

type Config = Record<string, unknown>
type Tensors = Map<string, TensorToWrite>

/** A fixture as someone else might have saved it. */
async function variant(shape: string, layout: string, edit: (tensors: Tensors, config: Config) => void) {
  const folder = fixturePath(shape, layout)
  const files = new Map<string, Uint8Array>(
    readdirSync(folder).map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]),
  )
  const original = await openCheckpoint(memoryDirectory(files))
  const tensors: Tensors = new Map()
  for (const [name, { dtype, shape, byteLength }] of original.tensors) {
    const bytes = new Uint8Array(byteLength)
    await original.read(name, 0, bytes)
    tensors.set(name, tensorOf(name, bytes, dtype, shape))
  }
  const config = structuredClone(original.config) as Config
  edit(tensors, config)
  files.set("model.safetensors", await safetensorsFile([...tensors.values()]))
  files.set("config.json", textFile(config))
  return openCheckpoint(memoryDirectory(files, "model"))
}

async function fault(...args: Parameters<typeof variant>): Promise<CheckpointError> {
  const checkpoint = await variant(...args)
  const error = await loadGptOss(checkpoint).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(CheckpointError)
  return error as CheckpointError
}

/** How far the logits of the first few tokens are from those of mlx-lm, or of transformers. */
async function errorOf(
  shape: string,
  layout: string,
  edit: (tensors: Tensors, config: Config) => void,
): Promise<number> {
  const model = await loadGptOss(await variant(shape, layout, edit))
  const { expected, checkpoint } = await openFixture(shape, layout)
  await checkpoint.close()
  const tokens = expected.tokens.subarray(0, 4)
  const vocab = expected.logits.length / expected.tokens.length
  const found = (await logitsOf(model, new ReferenceBackend(), tokens)).subarray(3 * vocab)
  const truth = (layout.startsWith("mlx") && expected.mlx_logits) || expected.logits
  return relativeError(found, truth.subarray(3 * vocab, 4 * vocab))
}

const copy = (tensors: Tensors, from: string, to: string) => tensors.set(to, { ...tensors.get(from)!, name: to })

describe("a config that does not say how modules are quantized", () => {
  it.each<[string, (config: Config) => void]>([
    [
      "at all",
      (config) => {
        delete config.quantization
        delete config.quantization_config
      },
    ],
    [
      "but for the defaults, which are others'",
      (config) => {
        config.quantization = { group_size: 64, bits: 4 }
        delete config.quantization_config
      },
    ],
  ])("%s: the shapes do, as for mlx-lm", async (_, edit) => {
    expect(await errorOf("three-of-ten", "mlx-q8", (_tensors, config) => edit(config))).toBeLessThan(1e-4)
  })

  it("leaves Hugging Face's experts packed", async () => {
    const edit = (_: Tensors, config: Config) => delete config.quantization_config
    expect(await errorOf("three-of-ten", "hf-mxfp4", edit)).toBeLessThan(1e-4)
  })
})

describe("a config that contradicts the tensors", () => {
  const path = "model.layers.0.self_attn.q_proj"
  it.each<[string, unknown, RegExp]>([
    ["other bits", { group_size: 64, bits: 4 }, /affine 8-bit in groups of 64.*found affine 4-bit in groups of 64/],
    ["other groups", { group_size: 32, bits: 8 }, /affine 8-bit in groups of 64.*found affine 8-bit in groups of 32/],
    ["another mode", { mode: "mxfp8" }, /affine 8-bit in groups of 64.*found mxfp8 8-bit in groups of 32/],
    ["no quantization", false, /affine 8-bit in groups of 64.*found that it is not quantized/],
  ])("about %s is refused, and both are named", async (_, setting, says) => {
    const { code, message } = await fault("three-of-ten", "mlx-q8", (_tensors, config) => {
      config.quantization = { ...(config.quantization as object), [path]: setting }
    })
    expect(code).toBe("bad_quantization")
    expect(message).toMatch(says)
    expect(message).toContain(`quantization.${path}`)
  })

  it("or that says nothing where the shapes make no sense", async () => {
    const { message } = await fault("three-of-ten", "mlx-q8", (tensors, config) => {
      delete config.quantization
      delete config.quantization_config
      tensors.set(`${path}.scales`, tensorOf(`${path}.scales`, new Uint8Array(128 * 5), "uint8", [128, 5]))
    })
    expect(message).toContain(`nothing tells how ${path} is quantized`)
  })
})

describe("tied embeddings with a head that is stored too", () => {
  const tie = (_: Tensors, config: Config) => {
    config.tie_word_embeddings = true
  }

  it("are accepted where it is the same: dense", async () => {
    const edit = (tensors: Tensors) => copy(tensors, "model.embed_tokens.weight", "lm_head.weight")
    expect(await errorOf("tied", "hf", edit)).toBeLessThan(1e-4)
  })

  it("are accepted where it is the same in another dtype", async () => {
    const edit = (tensors: Tensors) => {
      const { dtype, shape, read } = tensors.get("model.embed_tokens.weight")!
      expect(dtype).toBe("bfloat16")
      const wide = async (offset: number, into: Uint8Array) => {
        const half = new Uint8Array(into.length / 2)
        await read(offset / 2, half)
        for (let i = 0; i < half.length; i += 2) into.set([0, 0, half[i], half[i + 1]], 2 * i)
      }
      const head = {
        ...tensors.get("lm_head.weight"),
        name: "lm_head.weight",
        dtype: "float32",
        shape,
        read: wide,
      } as const
      tensors.set("lm_head.weight", head)
    }
    expect(await errorOf("tied", "hf", edit)).toBeLessThan(1e-4)
  })

  it("are accepted where it is the same: quantized", async () => {
    const checkpoint = await variant("three-of-ten", "mlx-q8", (tensors, config) => {
      tie(tensors, config)
      for (const part of ["weight", "scales", "biases"]) {
        copy(tensors, `model.embed_tokens.${part}`, `lm_head.${part}`)
      }
    })
    await expect(loadGptOss(checkpoint)).resolves.toBeDefined()
  })

  it.each<[string, string, string, (tensors: Tensors) => void, RegExp]>([
    ["another", "three-of-ten", "mlx-q8", () => {}, /found other values from element \d+/],
    [
      "another in its last byte",
      "tied",
      "hf",
      (tensors) => {
        const embedding = copy(tensors, "model.embed_tokens.weight", "lm_head.weight").get("lm_head.weight")!
        const last = sizeOf(embedding.shape) * itemSize(embedding.dtype) - 1
        const read = async (offset: number, into: Uint8Array) => {
          await embedding.read(offset, into)
          if (last >= offset && last < offset + into.length) into[last - offset] ^= 1
        }
        tensors.set("lm_head.weight", { ...embedding, read })
      },
      /found other values from element \d+/,
    ],
    [
      "of another shape",
      "tied",
      "hf",
      (tensors) => tensors.set("lm_head.weight", tensorOf("lm_head.weight", new Uint8Array(4), "float32", [1, 1])),
      /found float32 \[1, 1\], while the embedding is bfloat16/,
    ],
    [
      "quantized where the embedding is not",
      "tied",
      "hf",
      (tensors) => {
        copy(tensors, "model.embed_tokens.weight", "lm_head.weight")
        tensors.set("lm_head.scales", tensorOf("lm_head.scales", new Uint8Array(4)))
      },
      /lm_head.scales.*the embedding has no such tensor/,
    ],
  ])("are refused where it is %s", async (_, shape, layout, edit, says) => {
    const error = await fault(shape, layout, (tensors, config) => {
      tie(tensors, config)
      edit(tensors)
    })
    expect(error.code).toBe("bad_config")
    expect(error.message).toMatch(says)
    expect(error.message).toMatch(/tie_word_embeddings.*set "tie_word_embeddings" to false.*else remove lm_head/)
  })
})

describe("tensors that nobody asked for", () => {
  it("are passed over when they are buffers or empty", async () => {
    const names = [
      "model.rotary_emb.inv_freq",
      "model.rotary_emb.original_inv_freq",
      "model.layers.0.self_attn.rotary_emb.inv_freq",
      "model.layers.1.self_attn.rotary_emb.cos_cached",
      "model.embeddings.position_ids",
      "transformer.h.0.attn.masked_bias",
      "transformer.h.0.attn.bias",
    ]
    const checkpoint = await variant("three-of-ten", "hf", (tensors) => {
      for (const name of names) tensors.set(name, tensorOf(name, new Uint8Array(16), "float32", [4]))
      tensors.set("model.extra.weight", tensorOf("model.extra.weight", new Uint8Array(0), "float32", [0, 7]))
    })
    await expect(loadGptOss(checkpoint)).resolves.toBeDefined()
  })

  it.each(["model.layers.9.mlp.router.weight", "model.inv_freq.weight", "self_attn.bias_k"])(
    "are refused when they are %s",
    async (name) => {
      const error = await fault("three-of-ten", "hf", (tensors) => tensors.set(name, tensorOf(name, new Uint8Array(4))))
      expect(error).toMatchObject({ code: "unexpected_tensor", message: expect.stringContaining(name) })
    },
  )

  it("are no excuse for those that are needed: an empty one has the wrong shape", async () => {
    const name = "model.norm.weight"
    const error = await fault("three-of-ten", "hf", (tensors) =>
      tensors.set(name, tensorOf(name, new Uint8Array(0), "float32", [0])),
    )
    expect(error).toMatchObject({ code: "wrong_shape", message: expect.stringContaining("[0]") })
  })
})
