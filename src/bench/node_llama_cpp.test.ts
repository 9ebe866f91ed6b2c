import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openModel } from "../checkpoint/node_find_model.js"
import { loadModel } from "../engine/node_model.js"
import { parseGptOssConfig } from "../models/config.js"
import { ggufShape, startLlamaCpp } from "./node_llama_cpp.js"

const root = fileURLToPath(new URL("../../../", import.meta.url))
const tiny = join(root, "models/minerva-tiny")
const scratch = mkdtempSync(join(tmpdir(), "minerva-gguf-"))
const gguf = join(scratch, "tiny.gguf")

afterAll(() => rmSync(scratch, { recursive: true }))

/** llama.cpp, if this machine has it: where there is no binary for it, what needs it is skipped. */
const llamaCpp = await import("node-llama-cpp").catch(() => null)
const quiet = { gpu: false, build: "never", skipDownload: true, logLevel: llamaCpp?.LlamaLogLevel.disabled } as const
const hasBinary = await (llamaCpp?.getLlama({ ...quiet, dryRun: true }) ?? Promise.reject()).then(
  () => true,
  () => false,
)

function writeGguf(folder: string, file: string): { code: number; err: string } {
  try {
    execFileSync(process.execPath, [join(root, "tools/write-gguf.mjs"), folder, file], { stdio: "pipe" })
    return { code: 0, err: "" }
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: Buffer }
    return { code: status, err: stderr.toString() }
  }
}

async function shapeOf(model: string) {
  const { checkpoint } = await openModel(model)
  await checkpoint.close()
  return ggufShape(parseGptOssConfig(checkpoint.config))
}

describe("tools/write-gguf.mjs", () => {
  it.each([
    ["clamped/mlx-q8", "layer_types[0]"],
    ["clamped/hf", 'field "quantization"'],
    ["nothing", "no such folder"],
  ])("refuses %s in one line, and leaves no file", (name, text) => {
    const file = join(scratch, "refused.gguf")
    const { code, err } = writeGguf(join(root, "test/models/fixtures", name), file)
    expect(code).toBe(1)
    expect(err).toMatch(/^error: [^\n]+\n$/)
    expect(err).toContain(text)
    expect(() => execFileSync("ls", [file], { stdio: "pipe" })).toThrow()
  })
})

describe.skipIf(!hasBinary)("llama.cpp as a peer (skipped without node-llama-cpp's binary)", () => {
  beforeAll(() => {
    expect(writeGguf(tiny, gguf)).toEqual({ code: 0, err: "" })
  })

  it("reads the file as gpt-oss in the types of published ones", async () => {
    const { tensorInfo } = await llamaCpp!.readGgufFileInfo(gguf, { sourceType: "filesystem" })
    const { GgmlType } = llamaCpp!
    const types = Object.fromEntries(tensorInfo!.map(({ name, ggmlType }) => [name, GgmlType[ggmlType]]))
    expect(tensorInfo).toHaveLength(3 + 6 * 19)
    expect(types).toMatchObject({
      "token_embd.weight": "Q8_0",
      "output.weight": "Q8_0",
      "output_norm.weight": "F32",
      "blk.5.attn_k.weight": "Q8_0",
      "blk.5.attn_k.bias": "F32",
      "blk.5.attn_sinks.weight": "F32",
      "blk.5.ffn_gate_inp.weight": "F32",
      "blk.5.ffn_down_exps.weight": "MXFP4",
      "blk.5.ffn_down_exps.bias": "F32",
    })
    const dims = tensorInfo!.find(({ name }) => name === "blk.0.ffn_up_exps.weight")!.dimensions
    expect(dims.map(Number)).toEqual([320, 192, 8])
  })

  it("answers as the model does, token by token: the weights are the same", async () => {
    const model = await loadModel(tiny, { device: "cpu", precision: "exact" })
    const ids = [...model.text.encode("<|start|>user<|message|>What is 17 + 25?<|end|><|start|>assistant")]
    const expected: number[] = []
    for await (const event of model.generate(ids, { temperature: 0, max_tokens: 24 })) {
      if (event.type === "token") expected.push(event.token)
    }
    await model.close()
    const llama = await llamaCpp!.getLlama({ ...quiet, maxThreads: 1 })
    const theirs = await llama.loadModel({ modelPath: gguf })
    const context = await theirs.createContext({ contextSize: 256 })
    const prompt = ids as Parameters<ReturnType<typeof context.getSequence>["evaluate"]>[0]
    const found: number[] = []
    for await (const token of context.getSequence().evaluate(prompt, { temperature: 0 })) {
      found.push(token)
      if (found.length === expected.length) break
    }
    await llama.dispose()
    expect(found).toEqual(expected)
    expect(expected.length).toBeGreaterThan(5)
  })

  it("times prompts and decoding, says what it is, and ends", async () => {
    const peer = await startLlamaCpp({ file: gguf, threads: 1, context: 200, shape: await shapeOf(tiny) })
    expect(peer.info).toMatchObject({ name: "llama.cpp", threads: 1, file: gguf })
    expect(peer.info.version).toMatch(/^\S+, node-llama-cpp 3\./)
    expect(peer.info.weight_bytes).toBeGreaterThan(9e6)
    const prompt = Uint32Array.from({ length: 150 }, (_, i) => i)
    for (const length of [150, 1, 100]) {
      expect(await peer.prefill(prompt.subarray(0, length))).toBeGreaterThan(0)
      expect(await peer.decode(prompt.subarray(0, length), 4)).toBeGreaterThan(0)
    }
    await expect(peer.prefill(new Uint32Array(1000))).rejects.toThrow("instead of 1000; its context has room for 256")
    expect(await peer.decode(prompt.subarray(0, 140), 59)).toBeGreaterThan(0)
    await peer.close()
    await peer.close()
    await expect(peer.prefill(prompt)).rejects.toThrow()
  })

  it("says in one line what is wrong with a file", async () => {
    const start = async (file: string, model = tiny) =>
      startLlamaCpp({ file, threads: 1, context: 64, shape: await shapeOf(model) })
    const broken = join(scratch, "broken.gguf")
    writeFileSync(broken, "no GGUF at all, though long enough to have been one")
    await expect(start(broken)).rejects.toThrow(`${broken}: not a GGUF that can be read`)
    const cut = join(scratch, "cut.gguf")
    writeFileSync(cut, readFileSync(gguf).subarray(0, 2e6))
    await expect(start(cut)).rejects.toThrow(`${cut}: llama.cpp does not load it`)
    const other = join(root, "test/models/fixtures/three-of-ten/hf")
    await expect(start(gguf, other)).rejects.toThrow("its tokenizer.ggml.tokens.length is 3072, where 97 was expected")
    await expect(start(join(scratch, "none.gguf"))).rejects.toThrow("there is no such file")
  })
})
