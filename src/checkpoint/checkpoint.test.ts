import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { openCheckpoint } from "./checkpoint.js"
import { CheckpointError } from "./errors.js"
import { memoryDirectory } from "./memory_directory.js"
import { safetensorsFile, tensorOf, textFile as text } from "../../test/checkpoint/memory_files.js"

/** A file of uint8 tensors, each filled with its own number. */
function shard(...tensors: [name: string, length: number][]): Promise<Uint8Array> {
  const bytesOf = (i: number, length: number) => Uint8Array.from({ length }, (_, j) => 100 * i + j)
  return safetensorsFile(tensors.map(([name, length], i) => tensorOf(name, bytesOf(i, length))))
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
    const checkpoint = await openCheckpoint(folder(files), {
      onProgress: (done, total) => steps.push(`${done}/${total}`),
    })
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

  it("believes the headers where the index names another file, or tensors that nobody needs", async () => {
    const files = { "one.safetensors": await shard(["a", 4]), "two.safetensors": await shard(["b", 9]) }
    const stale = index({ a: "two.safetensors", b: "two.safetensors", c: "one.safetensors" })
    const checkpoint = await openCheckpoint(folder({ ...stale, ...files }))
    expect([checkpoint.info("a").file, checkpoint.info("b").file]).toEqual(["one.safetensors", "two.safetensors"])
    const { code, message, fault } = checkpoint.missingTensor("c")
    expect([code, fault.file]).toEqual(["tensor_missing", "one.safetensors"])
    expect(message).toContain(`${INDEX} says the tensor is in this file, but it is not`)
  })

  it("finds what the index puts into the wrong shard, or has forgotten with its shard", async () => {
    const files = {
      "model-00001-of-00002.safetensors": await shard(["a", 4]),
      "model-00002-of-00002.safetensors": await shard(["b", 4]),
    }
    const [first, second] = Object.keys(files)
    for (const map of [{ a: first, b: first }, { a: first }, { a: second, b: first }, { c: second }]) {
      const checkpoint = await openCheckpoint(folder({ ...index(map), ...files }))
      expect([...checkpoint.tensors.values()].map(({ name, file }) => [name, file])).toEqual(
        expect.arrayContaining([
          ["a", first],
          ["b", second],
        ]),
      )
    }
  })

  it("lets the index decide among three files, whichever comes first", async () => {
    const files = Object.fromEntries(
      await Promise.all(["a", "b", "c"].map(async (name) => [`${name}.safetensors`, await shard(["x", 1], [name, 1])])),
    )
    const map = { a: "a.safetensors", b: "b.safetensors", c: "c.safetensors" }
    for (const file of Object.values(map)) {
      const checkpoint = await openCheckpoint(folder({ ...index({ ...map, x: file }), ...files }))
      expect(checkpoint.info("x").file).toBe(file)
    }
  })

  it("takes a whole file where the index is of shards that are gone", async () => {
    const files = { "model.safetensors": await shard(["a", 4]) }
    const stale = index({ a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" })
    const checkpoint = await openCheckpoint(folder({ ...stale, ...files }))
    expect([...checkpoint.tensors.keys()]).toEqual(["a"])
    // Half of the old shards may still be there.
    const half = { ...files, "model-00001-of-00002.safetensors": await shard(["a", 5]) }
    expect((await openCheckpoint(folder({ ...stale, ...half }))).info("a").byteLength).toBe(4)
  })

  it("takes a whole numbered set where the index is of another", async () => {
    const stale = index({ a: "model-00001-of-00003.safetensors", b: "model-00003-of-00003.safetensors" })
    const files = {
      "model-00001-of-00002.safetensors": await shard(["a", 4]),
      "model-00002-of-00002.safetensors": await shard(["b", 4]),
    }
    expect((await openCheckpoint(folder({ ...stale, ...files }))).tensors.size).toBe(2)
  })

  it("does without a file of the index whose tensors are all in others", async () => {
    const files = { "one.safetensors": await shard(["a", 4], ["b", 4]) }
    const checkpoint = await openCheckpoint(
      folder({ ...index({ a: "one.safetensors", b: "two.safetensors" }), ...files }),
    )
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "b"])
  })

  it("opens the weights that were named", async () => {
    const files = {
      "model.safetensors": await shard(["a", 1]),
      "other-1-of-2.safetensors": await shard(["a", 2]),
      "other-2-of-2.safetensors": await shard(["b", 2]),
      "alone.safetensors": await shard(["a", 3]),
    }
    const open = (weights: string) => openCheckpoint(folder(files), { weights })
    expect((await open("alone.safetensors")).info("a").byteLength).toBe(3)
    expect((await open("other-2-of-2.safetensors")).info("a").byteLength).toBe(2)
    await expect(open("adapters.safetensors")).rejects.toMatchObject({ code: "wrong_format" })
    await expect(open("absent.safetensors")).rejects.toMatchObject({ code: "file_missing" })
  })
})

describe("without an index", () => {
  const CONVENTIONS: Record<string, (i: number, count: number) => string> = {
    "from one": (i, count) => `model-${pad(i + 1)}-of-${pad(count)}`,
    "from zero to the last, as OpenAI": (i, count) => `model-${pad(i)}-of-${pad(count - 1)}`,
    "from zero": (i, count) => `model-${pad(i)}-of-${pad(count)}`,
    "under another name": (i, count) => `gpt-oss.mxfp4_${i + 1}_of_${count}`,
    "without a total": (i) => `consolidated.${String(i).padStart(2, "0")}`,
  }
  const pad = (number: number) => String(number).padStart(5, "0")
  const JUNK = {
    "._model.safetensors": text("x"),
    "adapters.safetensors": text("x"),
    "0000100_adapters.safetensors": text("x"),
  }

  it.each(Object.entries(CONVENTIONS))(
    "opens shards counted %s, and names the one that is missing",
    async (_, nameOf) => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 3, max: 12 }), fc.nat(), async (count, pick) => {
          const names = Array.from({ length: count }, (_, i) => `${nameOf(i, count)}.safetensors`)
          const files: Record<string, Uint8Array> = { ...JUNK }
          for (const [i, name] of names.entries()) files[name] = await shard([`t${i}`, i + 1])
          const checkpoint = await openCheckpoint(folder(files))
          expect(checkpoint.tensors.size).toBe(count)
          for (const [i, name] of names.entries()) expect(checkpoint.info(`t${i}`).file).toBe(name)

          // Where names do not count from one to the total, they do not tell whether one at the ends belongs to the set.
          const isFromOne = /(\d+).of.\1$/.test(nameOf(count - 1, count)) && !/0.of/.test(nameOf(0, count))
          const missing = isFromOne ? names[pick % count] : names[1 + (pick % (count - 2))]
          const { [missing]: _gone, ...rest } = files
          expect(await fault(rest)).toMatchObject({ code: "file_missing", file: missing })
        }),
        { numRuns: 20 },
      )
    },
  )

  it("takes names in capitals, as other systems write them", async () => {
    const pair = {
      "MODEL-00001-OF-00002.SAFETENSORS": await shard(["a", 1]),
      "MODEL-00002-OF-00002.SAFETENSORS": await shard(["b", 1]),
    }
    for (const files of [pair, { "model.SAFETENSORS": await shard(["a", 1], ["b", 1]) }]) {
      expect([...(await openCheckpoint(folder(files))).tensors.keys()]).toEqual(["a", "b"])
    }
    const { "MODEL-00001-OF-00002.SAFETENSORS": _, ...rest } = pair
    expect(await fault(rest)).toMatchObject({ file: "MODEL-00001-OF-00002.SAFETENSORS" })
  })

  it("says which of three is missing, and what to do", async () => {
    const rest = {
      "model-00001-of-00003.safetensors": await shard(["a", 1]),
      "model-00003-of-00003.safetensors": await shard(["c", 1]),
    }
    const { message } = await fault(rest)
    expect(message).toBe(
      "model-00002-of-00003.safetensors: this file is not in model; found 2 of 3 files: " +
        "model-00001-of-00003.safetensors, model-00003-of-00003.safetensors. To mend it, download the missing file",
    )
  })

  it.each([
    ["model-00002-of-00002.safetensors", ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"]],
    ["model-00000-of-00002.safetensors", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]],
  ])("names %s, which may belong to the set, when a tensor is missing", async (doubtful, names) => {
    const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await shard([name, 1])])))
    const checkpoint = await openCheckpoint(folder(files))
    expect(checkpoint.missingTensor("lm_head.weight").message).toContain(`whether ${doubtful} belongs to the model`)
  })

  it("prefers the whole file, then the whole set", async () => {
    const first = { "model-00001-of-00002.safetensors": await shard(["a", 1]) }
    const whole = { ...first, "model.safetensors": await shard(["a", 7]) }
    expect((await openCheckpoint(folder(whole))).info("a").byteLength).toBe(7)
    const set = {
      ...first,
      "model-00001-of-00003.safetensors": await shard(["a", 9]),
      "model-00002-of-00002.safetensors": await shard(["b", 1]),
      "model-fp16.safetensors": await shard(["a", 9]),
    }
    expect((await openCheckpoint(folder(set))).tensors.size).toBe(2)
  })

  it("takes model*.safetensors together, as mlx-lm does, unless they repeat each other", async () => {
    const files = {
      "model-attention.safetensors": await shard(["a", 1]),
      "model-experts.safetensors": await shard(["b", 1]),
      "expected.safetensors": await shard(["c", 1]),
    }
    expect([...(await openCheckpoint(folder(files))).tensors.keys()]).toEqual(["a", "b"])
    const twice = { ...files, "model-experts.safetensors": await shard(["a", 1]) }
    const { code, message } = await fault(twice)
    expect(code).toBe("duplicate_name")
    expect(message).toMatch(/model-experts.*model-attention/)
  })

  it("takes the only file of another name, and none of several", async () => {
    const files = { "gpt-oss.safetensors": await shard(["a", 1]), "adapter_model.safetensors": await shard(["b", 1]) }
    expect([...(await openCheckpoint(folder(files))).tensors.keys()]).toEqual(["a"])
    const { code, message } = await fault({ ...files, "weights.safetensors": await shard(["c", 1]) })
    expect(code).toBe("duplicate_name")
    expect(message).toContain("gpt-oss.safetensors, weights.safetensors")
  })

  it("and two whole sets says so", async () => {
    const files: Record<string, Uint8Array> = {}
    for (const name of ["model-1-of-2", "model-2-of-2", "model-1-of-1"]) files[`${name}.safetensors`] = await shard()
    expect((await fault(files)).message).toContain("model-1-of-1.safetensors, model-1-of-2.safetensors (2 files)")
  })

  it("says that an address does not tell what files there are", async () => {
    const { list: _, ...unlisted } = folder({ "model-1-of-1.safetensors": await shard() })
    await expect(openCheckpoint(unlisted)).rejects.toMatchObject({
      code: "file_missing",
      message: expect.stringMatching(/an address does not tell.*put model.safetensors.index.json beside/),
    })
    const { list: _none, ...whole } = folder({ "model.safetensors": await shard(["a", 1]) })
    expect((await openCheckpoint(whole)).tensors.size).toBe(1)
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
    const extra = index({ a: "model.safetensors", b: "extra.safetensors" })
    expect(await fault({ ...extra, "model.safetensors": await shard(["a", 4]) })).toMatchObject({
      code: "file_missing",
      file: "extra.safetensors",
    })
    const three = index({ a: "one.safetensors", b: "two.safetensors", c: "three.safetensors" })
    const both = (await fault({ ...files, ...three })).message
    expect(both).toMatch(/^two\.safetensors: .*neither are three\.safetensors/)
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
