import { itemSize } from "../../../../../tensor/dtype.js"
import type { WeightOf } from "../../../../../ir/type.js"
import type { Operand } from "../../../../../ir/program.js"
import type { GpuFeatures } from "../../../features.js"
import type { ChunkFormat } from "../chunk.js"
import { affine, affine8Half } from "./affine.js"
import { dense } from "./dense.js"
import { mxfp4Float, mxfp4Half } from "./mxfp4.js"

/** The fast format, in float32 if it must be exact, of a weight with rows of `K` elements, or null where the generic kernel has to do. */
export function chunkFormat(
  { quantization, weight }: WeightOf<Operand>,
  K: number,
  features: GpuFeatures,
  isExact = false,
): ChunkFormat | null {
  if (K % 32 !== 0 || !isVectorAligned(weight)) return null
  if (!quantization) {
    const { dtype } = weight
    return dtype === "float32" || dtype === "bfloat16" || dtype === "float16" ? dense(dtype) : null
  }
  // Staging in f16 asks the neighbouring lane.
  const half = features.f16 && features.subgroups && !isExact
  if (quantization.mode === "mxfp4") return half ? mxfp4Half : mxfp4Float
  if (quantization.mode !== "affine") return null
  const { bits, group_size } = quantization
  if (bits === 8 && half) return affine8Half(group_size, features)
  return bits === 4 || bits === 8 ? affine(bits, group_size, features) : null
}

/** Rows can be loaded 16 bytes at a time. The offset of its buffer is checked too, as bindings start 256-aligned. */
function isVectorAligned({ offset, strides, shape, dtype }: Operand): boolean {
  const last = shape.length - 1
  const outer = strides.slice(0, -1).every((stride) => (stride * itemSize(dtype)) % 16 === 0)
  return strides[last] === 1 && outer && offset % 16 === 0
}
