import { gzipSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { openCheckpoint } from "./checkpoint.js"
import { CheckpointError } from "./errors.js"
import { memoryDirectory } from "./memory_directory.js"
import { safetensorsFile, tensorOf, textFile as text } from "../../test/checkpoint/memory_files.js"

const CONFIG = { "config.json": text({ model_type: "gpt_oss" }) }

async function fault(files: Record<string, Uint8Array>) {
  const directory = memoryDirectory(new Map(Object.entries(files)), "/models/x")
  const error = await openCheckpoint(directory).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(CheckpointError)
  return error as CheckpointError
}

const bytes = (...parts: (string | number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...Buffer.from(part, "latin1")] : part)))

const POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4792272488\n"

/** What stands in the place of a file, and what the message must say. */
const FOREIGN: [what: string, file: Uint8Array, says: RegExp][] = [
  ["a git-lfs pointer", text(POINTER), /git-lfs pointer.*git lfs pull/],
  ["a git-lfs pointer with Windows' line ends", text(POINTER.replaceAll("\n", "\r\n")), /git-lfs pointer/],
  ["a web page", text("<!DOCTYPE html>\n<html><head></head></html>"), /web page.*\/resolve\//],
  ["a web page without a doctype", text('\ufeff \n<html lang="en">'), /web page/],
  ["an XML error", text("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"), /web page/],
  ["GGUF", bytes("GGUF", [3, 0, 0, 0, 0, 0, 0, 0, 0]), /GGUF.*safetensors/],
  ["a PyTorch zip", bytes("PK\x03\x04", new Array(60).fill(0)), /PyTorch/],
  ["a pickle", bytes([0x80, 2], "}q\x00(X\x06\x00\x00\x00weight"), /PyTorch/],
  ["OpenAI's Metal file", bytes("GPT-OSS v1.0\0", [0, 0]), /Metal/],
  ["an archive", new Uint8Array(gzipSync("x".repeat(100))), /archive/],
  ["an error as JSON", text({ error: "Repository not found" }), /server's error message/],
  ["an error as text", text("Entry not found"), /server's error message/],
  ["another error", text("Access to model openai/x is restricted."), /server's error message/],
]

describe.each(["model.safetensors", "config.json", "model.safetensors.index.json"])("in the place of %s", (name) => {
  it.each(FOREIGN)("%s is called what it is", async (_, file, says) => {
    const { code, message, fault: found } = await fault({ ...CONFIG, [name]: file })
    expect([code, found.file]).toEqual(["wrong_format", name])
    expect(message).toMatch(says)
    expect(message).not.toMatch(/[\n\0]/)
  })

  it("an empty file is called empty", async () => {
    const { message } = await fault({ ...CONFIG, [name]: new Uint8Array(0) })
    expect(message).toContain(`${name}: the file is empty`)
  })
})

it("any other text is quoted where safetensors were expected", async () => {
  const { message } = await fault({ ...CONFIG, "model.safetensors": text("# Model card\n\nHello") })
  expect(message).toContain('text that begins "# Model card??Hello"')
})

it("no length of a header is mistaken for another format", async () => {
  // 0x0280 bytes of header begin as a pickle does, 0x8b1f as gzip.
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0x280, 0x380, 0x480, 0x8b1f), async (length) => {
      const header = JSON.stringify({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1] } }).padEnd(length)
      const file = new Uint8Array(8 + length + 1)
      new DataView(file.buffer).setUint32(0, length, true)
      file.set(text(header), 8)
      const files = new Map(Object.entries({ ...CONFIG, "model.safetensors": file }))
      expect((await openCheckpoint(memoryDirectory(files))).tensors.size).toBe(1)
    }),
  )
})

describe("a folder that holds something else", () => {
  const any = text("x")
  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    ["nothing", {}, /\/models\/x: the folder is empty/],
    ["GGUF", { "gpt-oss-20b-Q4_K_M.gguf": any, "README.md": any }, /GGUF.*found gpt-oss-20b-Q4_K_M\.gguf/],
    ["GGUF and a config", { ...CONFIG, "gpt-oss-20b.gguf": any }, /GGUF/],
    ["an adapter of PEFT", { "adapter_config.json": any, "adapter_model.safetensors": any }, /adapter \(LoRA\).*fuse/],
    [
      "an adapter of mlx-lm",
      { ...CONFIG, "adapters.safetensors": any, "0000200_adapters.safetensors": any },
      /adapter/,
    ],
    ["PyTorch's files", { ...CONFIG, "pytorch_model-00001-of-00002.bin": any }, /PyTorch/],
    ["OpenAI's Metal file", { "model.bin": any }, /Metal/],
    ["MLX's older files", { ...CONFIG, "weights.npz": any }, /format that is not supported/],
    ["an unfinished download", { ...CONFIG, "model-00001-of-00002.safetensors.part": any }, /download.*not finished/],
    ["a config alone", CONFIG, /model\.safetensors: .*nor other safetensors/],
    ["weights alone", { "model.safetensors": any }, /^config\.json: /],
    ["a model in a folder", { "a/config.json": any, "b/README.md": any }, /a folder in it does.*give \/models\/x\/a/],
    ["original/", { "original/config.json": any, "metal/model.bin": any }, /OpenAI's own layout.*minerva pull/],
  ])("%s", async (_, files, says) => {
    expect((await fault(files)).message).toMatch(says)
  })

  it("OpenAI's own names", async () => {
    const weights = await safetensorsFile([tensorOf("block.0.attn.qkv.weight", Uint8Array.of(1))])
    const error = await fault({ "config.json": text({ num_experts: 32 }), "model.safetensors": weights })
    expect(error.code).toBe("wrong_format")
    expect(error.message).toMatch(/OpenAI's own layout/)
  })
})
