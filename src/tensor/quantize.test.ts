import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { dequantizeRow, scaleDType } from "./dequantize.js"
import type { FloatDType } from "./floats.js"
import { decodeFloats, encodeFloats } from "./floats.js"
import type { Quantization } from "./quantization.js"
import { packedRowBytes } from "./quantization.js"
import { quantizeRow } from "./quantize.js"

interface Case {
  mode: string
  bits: number
  group_size: number
  dtype: FloatDType
  K: number
  values: string
  weight: string
  scales: string
  biases: string | null
  expanded: string
}

interface Vectors {
  cases: Case[]
  encoded: Record<string, string>
  decoded: Record<string, string>
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL("../../../test/tensor/fixtures/quantize_vectors.json", import.meta.url), "utf8"),
)

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"))
const floats = (base64: string) => new Float32Array(bytes(base64).buffer)

function floatsOf(dtype: FloatDType, raw: Uint8Array, length: number): Float32Array {
  const out = new Float32Array(length)
  decodeFloats(dtype, raw, out)
  return out
}

describe("quantized rows agree with MLX bit for bit", () => {
  for (const c of vectors.cases) {
    const quantization = { mode: c.mode, bits: c.bits, group_size: c.group_size } as Quantization
    const rowBytes = packedRowBytes(quantization, c.K)
    const groups = c.K / c.group_size
    const rows = floats(c.values).length / c.K
    const scales = scaleDType(quantization)
      ? floatsOf(scaleDType(quantization)!, bytes(c.scales), rows * groups)
      : floats(c.scales)
    const biases = c.biases === null ? null : floats(c.biases)
    const name = `${c.mode} ${c.bits} bits, group ${c.group_size}, ${c.dtype}`

    it(`dequantize ${name}`, () => {
      const out = new Float32Array(c.K)
      for (let row = 0; row < rows; row++) {
        dequantizeRow(
          quantization,
          bytes(c.weight).subarray(row * rowBytes, (row + 1) * rowBytes),
          scales.subarray(row * groups, (row + 1) * groups),
          biases?.subarray(row * groups, (row + 1) * groups) ?? null,
          out,
        )
        expect([...out]).toEqual([...floats(c.expanded).subarray(row * c.K, (row + 1) * c.K)])
      }
    })

    if (c.mode !== "affine" && c.mode !== "mxfp4") continue
    it(`quantize ${name}`, () => {
      const weight = new Uint8Array(rowBytes)
      const rowScales = new Float32Array(groups)
      const rowBiases = biases && new Float32Array(groups)
      for (let row = 0; row < rows; row++) {
        quantizeRow(quantization, floats(c.values).subarray(row * c.K, (row + 1) * c.K), weight, rowScales, rowBiases)
        expect(weight).toEqual(bytes(c.weight).subarray(row * rowBytes, (row + 1) * rowBytes))
        for (const [ours, theirs] of [
          [rowScales, scales],
          [rowBiases, biases],
        ]) {
          if (!ours || !theirs) continue
          const rounded = new Uint8Array(groups * 4)
          encodeFloats(c.dtype, ours, rounded)
          expect([...floatsOf(c.dtype, rounded, groups)]).toEqual([
            ...theirs.subarray(row * groups, (row + 1) * groups),
          ])
        }
      }
    })
  }

  it("refuses lengths that do not fit together", () => {
    const affine: Quantization = { mode: "affine", bits: 8, group_size: 32 }
    const call = (weight: number, scales: number, biases: number, K: number) => () =>
      dequantizeRow(
        affine,
        new Uint8Array(weight),
        new Float32Array(scales),
        new Float32Array(biases),
        new Float32Array(K),
      )
    expect(call(64, 2, 2, 64)).not.toThrow()
    expect(call(63, 2, 2, 64)).toThrow(RangeError)
    expect(call(64, 1, 2, 64)).toThrow(RangeError)
    expect(call(64, 2, 1, 64)).toThrow(RangeError)
    expect(call(48, 1, 1, 48)).toThrow(/groups of 32/)
  })
})

describe("float conversions", () => {
  it.each(["float16", "bfloat16", "float8_e5m2", "float8_e4m3"] as const)("encode %s", (dtype) => {
    const values = floats(vectors.encoded.values)
    const expected = bytes(vectors.encoded[dtype])
    const out = new Uint8Array(expected.length)
    encodeFloats(dtype, values, out)
    const differing = [...values].flatMap((value, i) => {
      const size = expected.length / values.length
      const same = out.subarray(i * size, (i + 1) * size).every((byte, j) => byte === expected[i * size + j])
      return same || Number.isNaN(value) ? [] : [value]
    })
    expect(differing).toEqual([])
  })

  it.each(["float8_e4m3", "float8_e5m2", "float8_e8m0"] as const)("decode every %s", (dtype) => {
    const codes = Uint8Array.from({ length: 256 }, (_, code) => code)
    expect([...floatsOf(dtype, codes, 256)]).toEqual([...floats(vectors.decoded[dtype])])
  })

  it("decode float16", () => {
    const codes = Uint16Array.from({ length: Math.ceil(65536 / 17) }, (_, i) => i * 17)
    const decoded = floatsOf("float16", new Uint8Array(codes.buffer), codes.length)
    expect([...decoded]).toEqual([...floats(vectors.decoded.float16)])
  })

  it.each(["float16", "bfloat16", "float8_e4m3", "float8_e5m2", "float8_e8m0"] as const)(
    "%s survives a round trip",
    (dtype) => {
      const wide = dtype.length < 9
      const count = wide ? 65536 : 256
      const codes = wide
        ? new Uint8Array(Uint16Array.from({ length: count }, (_, i) => i).buffer)
        : Uint8Array.from({ length: count }, (_, i) => i)
      const values = floatsOf(dtype, codes, count)
      const back = new Uint8Array(codes.length)
      encodeFloats(dtype, values, back)
      expect([...floatsOf(dtype, back, count)]).toEqual([...values])
    },
  )

  it("rounds and widens float64 and reads unaligned float32", () => {
    const raw = new Uint8Array(17)
    new DataView(raw.buffer).setFloat64(1, 0.1, true)
    new DataView(raw.buffer).setFloat32(9, 2.5, true)
    expect(floatsOf("float64", raw.subarray(1), 1)[0]).toBe(Math.fround(0.1))
    expect(floatsOf("float32", raw.subarray(9), 1)[0]).toBe(2.5)
    expect(() => floatsOf("float32", raw.subarray(9, 12), 1)).toThrow(RangeError)
  })
})
