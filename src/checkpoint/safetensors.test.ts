import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CheckpointError } from "./errors.js"
import { MemorySource } from "./memory_directory.js"
import { MAX_HEADER_BYTES, readHeader } from "./safetensors.js"

function fileOf(header: string | Uint8Array, dataBytes: number, length?: number | bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true)
  bytes.set(text, 8)
  return bytes
}

const read = (bytes: Uint8Array) => readHeader(new MemorySource("x.safetensors", bytes))

/** The typed error for a header (text or tensors) followed by `dataBytes`. */
async function fault(header: string | Uint8Array | object, dataBytes = 0, length?: number | bigint) {
  const text = typeof header === "string" || header instanceof Uint8Array ? header : JSON.stringify(header)
  const error = await read(fileOf(text, dataBytes, length)).then(
    () => null,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(CheckpointError)
  const { code, message } = error as CheckpointError
  expect(message).toContain("x.safetensors")
  return { code, message }
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
})

describe("a good file", () => {
  it("gives names, dtypes, shapes and places, in the order of the data", async () => {
    const header = {
      __metadata__: { format: "pt", __proto__x: "1" },
      b: f32(8, 16),
      a: { dtype: "BF16", shape: [2, 2], data_offsets: [0, 8], extra: { nested: [1.5, null, true] } },
      empty: f32(16, 16, [0, 7]),
      scalar: f32(16, 20, []),
    }
    const text = `${JSON.stringify(header)}   `
    const { metadata, tensors } = await read(fileOf(text, 20))
    const data = 8 + text.length
    expect([...metadata]).toEqual([
      ["format", "pt"],
      ["__proto__x", "1"],
    ])
    expect([...tensors.values()]).toEqual([
      { name: "a", dtype: "bfloat16", shape: [2, 2], offset: data, byteLength: 8 },
      { name: "b", dtype: "float32", shape: [2], offset: data + 8, byteLength: 8 },
      { name: "empty", dtype: "float32", shape: [0, 7], offset: data + 16, byteLength: 0 },
      { name: "scalar", dtype: "float32", shape: [], offset: data + 16, byteLength: 4 },
    ])
  })

  it("may be empty, and may have null metadata", async () => {
    expect((await read(fileOf("{}", 0))).tensors.size).toBe(0)
    expect((await read(fileOf('{"__metadata__": null}', 0))).metadata.size).toBe(0)
  })

  it("may name an empty tensor after the one that begins at the same place", async () => {
    const { tensors } = await read(fileOf(JSON.stringify({ a: f32(0, 4), empty: f32(0, 0) }), 4))
    expect([...tensors.keys()]).toEqual(["empty", "a"])
  })

  it("may have a header longer than the first read", async () => {
    const text = JSON.stringify({ a: f32(0, 4) }).padEnd(300_000)
    expect((await read(fileOf(text, 4))).tensors.get("a")?.offset).toBe(300_008)
  })

  it("keeps names that are special to JavaScript", async () => {
    const names = ["__proto__", "constructor", "toString", "", "\u0000", "é\ud83d\ude00"]
    const text = `{${names.map((name, i) => `${JSON.stringify(name)}: ${JSON.stringify(f32(4 * i, 4 * i + 4))}`)}}`
    const { tensors } = await read(fileOf(text, 4 * names.length))
    expect([...tensors.keys()]).toEqual(names)
  })

  it.each([
    ["BOOL", 1, "bool"],
    ["U8", 1, "uint8"],
    ["I8", 1, "int8"],
    ["F8_E4M3", 1, "float8_e4m3"],
    ["F8_E5M2", 1, "float8_e5m2"],
    ["F8_E8M0", 1, "float8_e8m0"],
    ["U16", 2, "uint16"],
    ["I16", 2, "int16"],
    ["F16", 2, "float16"],
    ["BF16", 2, "bfloat16"],
    ["U32", 4, "uint32"],
    ["I32", 4, "int32"],
    ["F32", 4, "float32"],
    ["U64", 8, "uint64"],
    ["I64", 8, "int64"],
    ["F64", 8, "float64"],
  ])("dtype %s takes %i bytes", async (dtype, size, ours) => {
    const header = JSON.stringify({ t: { dtype, shape: [3], data_offsets: [0, 3 * size] } })
    expect((await read(fileOf(header, 3 * size))).tensors.get("t")?.dtype).toBe(ours)
  })
})

describe("a bad file gets a typed error", () => {
  it("empty, or shorter than the length field", async () => {
    for (const size of [0, 7]) {
      await expect(read(new Uint8Array(size))).rejects.toMatchObject({ code: "truncated" })
    }
  })

  it("header longer than the file", async () => {
    const { code, message } = await fault("{}", 0, 90)
    expect(code).toBe("truncated")
    expect(message).toContain("98 bytes or more")
    expect(message).toContain("10 bytes")
  })

  it("header longer than the format allows", async () => {
    expect((await fault("{}", 0, MAX_HEADER_BYTES + 1)).code).toBe("header_too_large")
    expect((await fault("{}", 0, 2n ** 64n - 1n)).code).toBe("header_too_large")
  })

  it.each([
    ["", "starts with"],
    [" {}", "starts with"],
    ["[]", "starts with"],
    ["{", "expected a string"],
    ["{}{}", "expected the end"],
    ['{"a"}', 'expected ":"'],
    ['{"a: 1', "has no end"],
    ['{"a\n": {}}', "control character"],
    ['{"\\ud800": {}}', "surrogate"],
    ['{"a": {},}', "field"],
    ['{"a": 1}', 'expected "{"'],
    ['{"__metadata__": {"a": 1}}', "expected a string"],
    ['{"__metadata__": []}', 'expected "{"'],
    [`{"a": {"x": ${"[".repeat(200)}${"]".repeat(200)}}}`, "nested deeper"],
    ['{"a": {"dtype": 7}}', "expected a string"],
    ['{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}', "unsigned integer"],
    ['{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "unsigned integer"],
    ['{"a": {"dtype": "F32", "shape": [1e0], "data_offsets": [0, 4]}}', "unsigned integer"],
    ['{"a": {"dtype": "F32", "shape": [9007199254740993], "data_offsets": [0, 4]}}', "unsigned integer"],
    ['{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}', "[begin, end]"],
    ['{"a": {"dtype": "F32", "shape": [1]}}', "data_offsets"],
    ['{"a": {"dtype": "F32", "data_offsets": [0, 4]}}', "shape"],
    ['{"a": {"shape": [1], "data_offsets": [0, 4]}}', "dtype"],
  ])("malformed header %s", async (text, clue) => {
    const { code, message } = await fault(text, 4)
    expect(code).toBe("bad_header")
    expect(message).toContain(clue)
  })

  it("not UTF-8, or with a byte order mark", async () => {
    expect((await fault(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d))).message).toContain("UTF-8")
    expect((await fault("\ufeff{}")).code).toBe("bad_header")
  })

  it("duplicate names, of tensors, fields and metadata", async () => {
    const a = JSON.stringify(f32(0, 4))
    const twice = await fault(`{"w": ${a}, "\\u0077": ${a}}`, 4)
    expect(twice).toMatchObject({ code: "duplicate_name" })
    expect(twice.message).toContain("w")
    expect((await fault('{"a": {"dtype": "F32", "dtype": "F32"}}')).code).toBe("duplicate_name")
    expect((await fault('{"__metadata__": {"a": "1", "a": "2"}}')).code).toBe("duplicate_name")
  })

  it.each(["F4", "F6_E2M3", "C64", "F8_E4M3FNUZ", "f32", "", "__proto__", "toString"])("dtype %j", async (dtype) => {
    const { code, message } = await fault({ "layer.w": { dtype, shape: [1], data_offsets: [0, 4] } }, 4)
    expect(code).toBe("unknown_dtype")
    expect(message).toContain('"layer.w"')
    expect(message).toContain("BF16")
  })

  it("offsets that overlap, leave holes, run backwards or do not start at zero", async () => {
    expect(await fault({ a: f32(0, 8), b: f32(4, 12) }, 12)).toMatchObject({
      code: "offsets",
      message: expect.stringContaining("overlaps"),
    })
    expect((await fault({ a: f32(0, 8), b: f32(0, 8) }, 8)).code).toBe("offsets")
    expect((await fault({ a: f32(0, 4), b: f32(8, 12) }, 12)).message).toContain("belong to none")
    expect((await fault({ a: f32(4, 8) }, 8)).code).toBe("offsets")
    expect((await fault({ a: { dtype: "F32", shape: [1], data_offsets: [4, 0] } }, 4)).code).toBe("offsets")
  })

  it("truncated, or going on after the last tensor", async () => {
    expect(await fault({ a: f32(0, 8) }, 7)).toMatchObject({ code: "truncated" })
    expect(await fault({ a: f32(0, 8) }, 9)).toMatchObject({ code: "offsets" })
    expect(await fault({}, 1)).toMatchObject({ code: "offsets" })
  })

  it("shapes that do not fit the bytes, or overflow", async () => {
    const wrong = await fault({ a: f32(0, 8, [3]) }, 8)
    expect(wrong.code).toBe("wrong_shape")
    expect(wrong.message).toContain("expected 12 bytes")
    for (const shape of [[2 ** 52, 2 ** 52], [2 ** 32, 2 ** 32, 2 ** 32, 0], [2 ** 53 - 1]]) {
      expect((await fault({ a: f32(0, 0, shape) }, 0)).code).toBe("wrong_shape")
    }
  })

  it("large hostile headers end soon", async () => {
    const million = 1_000_000
    expect((await fault(`{${" ".repeat(million)}`)).code).toBe("bad_header")
    expect((await fault(`{"${"a".repeat(million)}`)).code).toBe("bad_header")
    expect((await fault(`{"${'\\"'.repeat(million)}`)).code).toBe("bad_header")
    expect((await fault(`{"a": {"x": ${"1".repeat(million)}}}`)).code).toBe("bad_header")
    expect((await fault(`{"a": {"x": ${"[".repeat(million)}`)).code).toBe("bad_header")
    expect((await fault(`{"a": {"dtype": "U8", "shape": [${"1,".repeat(million)}1]}}`)).code).toBe("bad_header")
  })
})

describe("mutated files", () => {
  const header = JSON.stringify({
    __metadata__: { format: "mlx" },
    "model.embed.weight": f32(0, 48, [3, 4]),
    "model.norm.weight": { dtype: "BF16", shape: [4], data_offsets: [48, 56] },
    "model.w": { dtype: "U8", shape: [2, 4], data_offsets: [56, 64] },
  })
  const good = fileOf(header, 64)
  const snippets = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "0",
    "9",
    "-",
    ".",
    "e",
    "F",
    "null",
    '"a":',
    "\u0000",
    "__proto__",
  ]

  type Mutation =
    | { kind: "set"; at: number; byte: number }
    | { kind: "cut" | "repeat"; at: number; length: number }
    | { kind: "end"; at: number }
    | { kind: "insert"; at: number; text: string }

  const mutation: fc.Arbitrary<Mutation> = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), at: fc.nat(good.length - 1), byte: fc.nat(255) }),
    fc.record({
      kind: fc.constant("cut" as const),
      at: fc.nat(good.length - 1),
      length: fc.integer({ min: 1, max: 40 }),
    }),
    fc.record({ kind: fc.constant("end" as const), at: fc.nat(good.length - 1) }),
    fc.record({
      kind: fc.constant("insert" as const),
      at: fc.nat(good.length - 1),
      text: fc.constantFrom(...snippets),
    }),
    fc.record({
      kind: fc.constant("repeat" as const),
      at: fc.nat(good.length - 1),
      length: fc.integer({ min: 1, max: 90 }),
    }),
  )

  function mutate(bytes: Uint8Array, m: Mutation): Uint8Array {
    const insert = (piece: Uint8Array) =>
      Uint8Array.from([...bytes.subarray(0, m.at), ...piece, ...bytes.subarray(m.at)])
    if (m.kind === "set") return Uint8Array.from(bytes, (byte, i) => (i === m.at ? m.byte : byte))
    if (m.kind === "cut") return Uint8Array.from([...bytes.subarray(0, m.at), ...bytes.subarray(m.at + m.length)])
    if (m.kind === "end") return bytes.slice(0, m.at)
    if (m.kind === "insert") return insert(new TextEncoder().encode(m.text))
    return insert(bytes.subarray(m.at, m.at + m.length))
  }

  /** Makes the length field right again, so that the mutation reaches the JSON behind it. */
  function relength(bytes: Uint8Array): Uint8Array {
    if (bytes.length < 72) return bytes
    const copy = bytes.slice()
    new DataView(copy.buffer).setBigUint64(0, BigInt(copy.length - 72), true)
    return copy
  }

  it("10,000 of them open or give typed errors", async () => {
    let opened = 0
    const codes = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.boolean(), async (mutations, repair) => {
        const mutated = mutations.reduce(mutate, good)
        try {
          const { tensors } = await read(repair ? relength(mutated) : mutated)
          for (const { offset, byteLength } of tensors.values()) {
            expect(offset + byteLength).toBeLessThanOrEqual(mutated.length)
          }
          opened++
        } catch (error) {
          if (!(error instanceof CheckpointError)) throw error
          codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
        }
      }),
      { numRuns: 10_000, seed: 1 },
    )
    // The mutations must reach every check, or they prove little.
    expect(opened).toBeGreaterThan(100)
    const reached = ["truncated", "header_too_large", "bad_header", "unknown_dtype", "wrong_shape", "offsets"]
    expect([...codes.keys()]).toEqual(expect.arrayContaining(reached))
  })
})
