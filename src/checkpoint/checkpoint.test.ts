import { describe, expect, it } from "vitest"
import type { WritableDirectory } from "./byte_sink.js"
import { openCheckpoint } from "./checkpoint.js"
import { CheckpointError } from "./errors.js"
import { memoryDirectory } from "./memory_directory.js"
import { writeSafetensors } from "./safetensors_writer.js"

const text = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))

/** A file of uint8 tensors, each filled with its own number. */
async function shard(...tensors: [name: string, length: number][]): Promise<Uint8Array> {
  let file = new Uint8Array(0)
  const directory: WritableDirectory = {
    name: "memory",
    create: async (name) => ({
      name,
      async write(offset, bytes) {
        const grown = new Uint8Array(Math.max(file.length, offset + bytes.length))
        grown.set(file)
        grown.set(bytes, offset)
        file = grown
      },
      commit: async () => {},
      abort: async () => {},
    }),
  }
  const toWrite = tensors.map(([name, length], i) => ({
    name,
    dtype: "uint8" as const,
    shape: [length],
    read: async (offset: number, into: Uint8Array) => {
      for (let j = 0; j < into.length; j++) into[j] = 100 * i + offset + j
    },
  }))
  await writeSafetensors(directory, "memory", toWrite)
  return file
}

function folder(files: Record<string, Uint8Array>) {
  return memoryDirectory(new Map(Object.entries({ "config.json": text({ model_type: "gpt_oss" }), ...files })), "model")
}

const INDEX = "model.safetensors.index.json"
const index = (weight_map: unknown) => ({ [INDEX]: text({ metadata: {}, weight_map }) })

async function fault(files: Record<string, Uint8Array>) {
  const error = await openCheckpoint(folder(files)).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(CheckpointError)
  const { message, fault } = error as CheckpointError
  return { message, ...fault }
}

describe("openCheckpoint", () => {
  it("opens a single file", async () => {
    const files = { "model.safetensors": await shard(["a", 4], ["b", 3]) }
    const checkpoint = await openCheckpoint(folder(files))
    expect(checkpoint.config).toEqual({ model_type: "gpt_oss" })
    expect([...checkpoint.tensors.values()]).toEqual([
      { name: "a", dtype: "uint8", shape: [4], byteLength: 4, file: "model.safetensors" },
      { name: "b", dtype: "uint8", shape: [3], byteLength: 3, file: "model.safetensors" },
    ])
    expect(checkpoint.byteLength).toBe(7)
  })

  it("opens shards, reports progress, and reads slices into shared memory", async () => {
    const files = {
      ...index({ a: "one.safetensors", b: "sub/two.safetensors", c: "one.safetensors" }),
      "one.safetensors": await shard(["a", 4], ["c", 8]),
      "sub/two.safetensors": await shard(["b", 3]),
    }
    const steps: string[] = []
    const checkpoint = await openCheckpoint(folder(files), (done, total) => steps.push(`${done}/${total}`))
    expect(steps).toEqual(["1/2", "2/2"])
    expect(checkpoint.info("b").file).toBe("sub/two.safetensors")
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
    const into = new Uint8Array(memory.buffer, 10, 3)
    await checkpoint.read("c", 5, into)
    expect([...into]).toEqual([105, 106, 107])
    await checkpoint.close()
  })

  it("refuses reads beyond a tensor, though the file goes on", async () => {
    const checkpoint = await openCheckpoint(folder({ "model.safetensors": await shard(["a", 4], ["b", 3]) }))
    for (const [offset, length] of [
      [2, 3],
      [-1, 1],
      [0.5, 1],
      [Number.NaN, 1],
    ]) {
      const read = checkpoint.read("a", offset, new Uint8Array(length))
      await expect(read).rejects.toMatchObject({ code: "out_of_range", message: expect.stringContaining('"a"') })
    }
  })

  it("lists the nearest names of a missing tensor", async () => {
    const names: [string, number][] = ["q", "k", "v"].map((p) => [`model.layers.0.self_attn.${p}_proj.weight`, 1])
    const checkpoint = await openCheckpoint(
      folder({ "model.safetensors": await shard(["lm_head.weight", 1], ...names) }),
    )
    const read = checkpoint.read("model.layers.0.self_attn.k_prj.weight", 0, new Uint8Array(1))
    await expect(read).rejects.toMatchObject({
      code: "tensor_missing",
      message: expect.stringMatching(/nearest names model\.layers\.0\.self_attn\.k_proj\.weight, /),
    })
  })

  it("lets the index decide between shards that share a name", async () => {
    const files = { "one.safetensors": await shard(["a", 4]), "two.safetensors": await shard(["a", 9], ["b", 1]) }
    const decided = await openCheckpoint(folder({ ...index({ a: "one.safetensors", b: "two.safetensors" }), ...files }))
    expect(decided.info("a")).toMatchObject({ file: "one.safetensors", byteLength: 4 })
  })
})

describe("a bad folder gets a typed error", () => {
  it("without a config, or with one that is not JSON", async () => {
    const empty = memoryDirectory(new Map(), "model")
    await expect(openCheckpoint(empty)).rejects.toMatchObject({ code: "file_missing" })
    expect(await fault({ "config.json": text("{") })).toMatchObject({ code: "bad_json", file: "config.json" })
    expect(await fault({ "config.json": Uint8Array.of(0xff) })).toMatchObject({ code: "bad_json" })
  })

  it("without weights", async () => {
    expect(await fault({})).toMatchObject({ code: "file_missing", file: "model.safetensors" })
  })

  it("with a shard missing", async () => {
    const files = { ...index({ a: "one.safetensors", b: "two.safetensors" }), "one.safetensors": await shard(["a", 4]) }
    const { code, message } = await fault(files)
    expect(code).toBe("file_missing")
    expect(message).toContain("two.safetensors")
    expect(message).toContain(INDEX)
  })

  it.each(["../evil.safetensors", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", "a//b", "", ".", "x\u0000y", "a/.."])(
    "with an index that points outside: %j",
    async (file) => {
      expect(await fault(index({ a: file }))).toMatchObject({ code: "bad_path" })
    },
  )

  it("with an index that points outside, even if the directory would follow it", async () => {
    const careless = folder(index({ a: "../evil.safetensors" }))
    const opened: string[] = []
    const directory = {
      name: "careless",
      open(name: string) {
        opened.push(name)
        return careless.open(name)
      },
    }
    await expect(openCheckpoint(directory)).rejects.toMatchObject({ code: "bad_path" })
    expect(opened).not.toContain("../evil.safetensors")
  })

  it.each([null, [], 7, {}, { a: 1 }, { a: null }])("with weight_map %j", async (weight_map) => {
    expect(await fault(index(weight_map))).toMatchObject({ code: "bad_index", file: INDEX })
  })

  it("with an index that is not an object, or not JSON", async () => {
    expect(await fault({ [INDEX]: text("null") })).toMatchObject({ code: "bad_index" })
    expect(await fault({ [INDEX]: text("[") })).toMatchObject({ code: "bad_json", file: INDEX })
  })

  it("with a tensor in the index that its shard does not hold", async () => {
    const files = {
      ...index({ a: "one.safetensors", ab: "one.safetensors" }),
      "one.safetensors": await shard(["a", 4]),
    }
    const { code, message, file, tensor } = await fault(files)
    expect({ code, file, tensor }).toEqual({ code: "tensor_missing", file: "one.safetensors", tensor: "ab" })
    expect(message).toContain("nearest names a")
  })

  it("with a tensor in two shards that the index does not name", async () => {
    const files = {
      ...index({ a: "one.safetensors", b: "two.safetensors" }),
      "one.safetensors": await shard(["a", 4], ["x", 1]),
      "two.safetensors": await shard(["b", 4], ["x", 1]),
    }
    expect(await fault(files)).toMatchObject({ code: "duplicate_name", tensor: "x" })
  })

  it("with a shard cut off", async () => {
    const whole = await shard(["a", 4], ["b", 300])
    const { code, message } = await fault({ "model.safetensors": whole.subarray(0, whole.length - 1) })
    expect(code).toBe("truncated")
    expect(message).toContain("model.safetensors")
  })

  it("keeps special names apart from prototypes", async () => {
    const files = { "config.json": text("{}"), [INDEX]: text('{"weight_map": {"__proto__": "one.safetensors"}}') }
    const directory = memoryDirectory(
      new Map([...Object.entries(files), ["one.safetensors", await shard(["__proto__", 2])]]),
    )
    expect((await openCheckpoint(directory)).info("__proto__").byteLength).toBe(2)
  })
})
