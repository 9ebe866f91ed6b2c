import * as mx from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import { Storage } from "../tensor/storage.js"

/**
 * Brings the published name schemes of gpt-oss to one, MLX's. What comes out are views of what went in: no bytes move.
 *
 * - MLX (`mlx-community/gpt-oss-20b-MXFP4-Q8`): as it is.
 * - Hugging Face MXFP4 (`openai/gpt-oss-20b`): `gate_up_proj_blocks` `[E, 2I, K / 32, 16]` holds gate and up rows in turn.
 * - Hugging Face unquantized (as transformers saves it): `gate_up_proj` `[E, K, 2I]`, input-major, columns in turn.
 */
export function sanitizeGptOss(tensors: ReadonlyMap<string, MxArray>): Map<string, MxArray> {
  const named = new Map<string, MxArray>()
  for (const [name, array] of tensors) {
    const [, path, projection, suffix] =
      /^(.*\.experts)\.(gate_up_proj|down_proj)(_blocks|_scales|_bias|)$/.exec(name) ?? []
    if (path === undefined) {
      named.set(name, array)
      continue
    }
    const tensor = PARTS[suffix]
    const rows = suffix === "_blocks" ? packedRows(array) : suffix === "" ? transposed(array) : array
    if (projection === "gate_up_proj") {
      named.set(`${path}.gate_proj.${tensor}`, everySecond(rows, 0))
      named.set(`${path}.up_proj.${tensor}`, everySecond(rows, 1))
    } else {
      named.set(`${path}.down_proj.${tensor}`, rows)
    }
  }
  return named
}

const PARTS: Record<string, string> = { _blocks: "weight", _scales: "scales", _bias: "bias", "": "weight" }

/** `[E, N, groups, 16]` bytes -> `[E, N, groups * 16]`: the bytes of an MLX row, which calls them uint32 words. */
function packedRows(blocks: MxArray): MxArray {
  return mx.reshape(blocks, [...blocks.shape.slice(0, 2), -1])
}

/** Rows `first`, `first + 2`, ... of axis 1. */
function everySecond(x: MxArray, first: number): MxArray {
  const start = x.shape.map((_, axis) => (axis === 1 ? first : 0))
  const step = x.shape.map((_, axis) => (axis === 1 ? 2 : 1))
  return mx.slice(x, start, x.shape, step)
}

/** `[E, K, N]` -> `[E, N, K]`, transposed as it is loaded: kernels want the elements of a row together. */
function transposed(x: MxArray): MxArray {
  const { storage } = x
  const [experts, K, N] = storage.shape
  const size = storage.byteLength / (experts * K * N)
  const expertBytes = K * N * size
  const read = async (offset: number, into: Uint8Array) => {
    for (let done = 0; done < into.byteLength; ) {
      const expert = Math.floor((offset + done) / expertBytes)
      const skip = (offset + done) % expertBytes
      const matrix = new Uint8Array(expertBytes)
      await storage.read(expert * expertBytes, matrix)
      const part = transposeBytes(matrix, K, N, size).subarray(skip, skip + into.byteLength - done)
      into.set(part, done)
      done += part.byteLength
    }
  }
  return MxArray.of(new Storage(`${storage.name} (transposed)`, storage.dtype, [experts, N, K], { read }))
}

function transposeBytes(matrix: Uint8Array, rows: number, columns: number, size: number): Uint8Array {
  const out = new Uint8Array(matrix.byteLength)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size
      const to = (column * rows + row) * size
      for (let byte = 0; byte < size; byte++) out[to + byte] = matrix[from + byte]
    }
  }
  return out
}
