import { CheckpointError } from "../../dist/src/checkpoint/errors.js"
import { dequantizeRow } from "../../dist/src/tensor/dequantize.js"
import { decodeFloats } from "../../dist/src/tensor/floats.js"
import { toMxfp4, toQ8_0 } from "./blocks.mjs"
import { TYPES } from "./container.mjs"

/** Elements converted at once. */
const PIECE = 1 << 21

/**
 * Tensors for `writeGguf` from those of a checkpoint in MLX's layout; each kind takes MLX's path and the GGUF's name.
 *
 * @throws {CheckpointError} for a tensor that is missing or stored otherwise
 */
export function weightReader(checkpoint, { quantizationOf }) {
  /** A norm, a bias: any dense tensor, as float32. */
  function vector(from, name) {
    const { dtype, shape, byteLength } = checkpoint.info(from)
    const pieces = async function* () {
      const bytes = new Uint8Array(byteLength)
      await checkpoint.read(from, 0, bytes)
      yield new Uint8Array(floats(dtype, bytes).buffer)
    }
    return { name, type: "F32", shape, pieces }
  }

  /** A dense or affine weight, as Q8_0 or float32. */
  function matrix(path, module, type) {
    const { shape, dtype } = checkpoint.info(`${path}.weight`)
    const encode = type === "Q8_0" ? toQ8_0 : (values) => new Uint8Array(values.buffer)
    if (!checkpoint.tensors.has(`${path}.scales`)) {
      return rows(path, module, type, shape, ["weight"], ({ weight }) => encode(floats(dtype, weight)))
    }
    const quantization = quantizationOf(path)
    if (quantization?.mode !== "affine") throw misfit(path, "affine", quantization?.mode)
    const { dtype: scaleType } = checkpoint.info(`${path}.scales`)
    // Rows fill whole words and groups: several are one long one.
    const decode = ({ weight, scales, biases }) => {
      const values = new Float32Array((weight.byteLength * 8) / quantization.bits)
      dequantizeRow(quantization, weight, floats(scaleType, scales), floats(scaleType, biases), values)
      return encode(values)
    }
    return rows(path, module, type, unpacked(shape, quantization), ["weight", "scales", "biases"], decode)
  }

  /** Experts in MXFP4, bit by bit. */
  function experts(path, module) {
    const quantization = checkpoint.tensors.has(`${path}.scales`) ? quantizationOf(path) : null
    if (quantization?.mode !== "mxfp4") throw misfit(path, "mxfp4", quantization?.mode)
    const shape = unpacked(checkpoint.info(`${path}.weight`).shape, quantization)
    return rows(path, module, "MXFP4", shape, ["weight", "scales"], ({ weight, scales }) => toMxfp4(weight, scales))
  }

  /** @param convert the bytes of some rows of each of `parts` into those of `type` */
  function rows(path, module, type, shape, parts, convert) {
    const { block } = TYPES[type]
    const K = shape.at(-1)
    if (K % block !== 0) throw misfit(path, `rows of a multiple of ${block}`, `rows of ${K}`)
    const count = shape.slice(0, -1).reduce((product, dim) => product * dim, 1)
    const atOnce = Math.max(Math.floor(PIECE / K), 1)
    const pieces = async function* () {
      for (let first = 0; first < count; first += atOnce) {
        const bytes = {}
        for (const part of parts) {
          const size = checkpoint.info(`${path}.${part}`).byteLength / count
          bytes[part] = new Uint8Array(Math.min(atOnce, count - first) * size)
          await checkpoint.read(`${path}.${part}`, first * size, bytes[part])
        }
        yield convert(bytes)
      }
    }
    return { name: `${module}.weight`, type, shape, pieces }
  }

  function misfit(path, expected, found = "dense") {
    const tensor = `${path}.weight`
    const { file } = checkpoint.info(tensor)
    const problem = "the weight is stored otherwise than in MXFP4-Q8"
    return new CheckpointError({ code: "bad_quantization", file, tensor, problem, expected, found })
  }

  return { vector, matrix, experts }
}

/** The shape of a weight whose rows are packed into words of 32 bits. */
function unpacked(shape, { bits }) {
  return [...shape.slice(0, -1), (shape.at(-1) * 32) / bits]
}

function floats(dtype, bytes) {
  const out = new Float32Array(bytes.byteLength / (dtype === "float32" ? 4 : 2))
  decodeFloats(dtype, bytes, out)
  return out
}
