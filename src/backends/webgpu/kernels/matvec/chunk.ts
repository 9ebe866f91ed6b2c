import { itemSize } from "../../../../tensor/dtype.js"
import { listComponents } from "../../../../ir/operands.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, reads, type View } from "../../dispatch.js"
import type { GpuFeatures } from "../../features.js"
import type { ChunkFormat, GroupAccessors } from "../../wgsl/formats/chunk.js"
import { formatOf } from "../../wgsl/formats/formats.js"

export interface WeightAccessors extends GroupAccessors {
  readonly weight: Accessor
  readonly bias?: Accessor
}

/** How rows of `K` elements of a weight are streamed, in float32 if it must be exact; null where the generic kernel has to do. */
export function chunkFormat(
  of: WeightOf<Operand>,
  K: number,
  features: GpuFeatures,
  isExact = false,
): ChunkFormat | null {
  if (K % 32 !== 0 || !isVectorAligned(of.weight)) return null
  return formatOf(of).chunks(features, isExact)
}

/** Rows can be loaded 16 bytes at a time. The offset of its buffer is checked too, as bindings start 256-aligned. */
function isVectorAligned({ offset, strides, shape, dtype }: Operand): boolean {
  const last = shape.length - 1
  const outer = strides.slice(0, -1).every((stride) => (stride * itemSize(dtype)) % 16 === 0)
  return strides[last] === 1 && outer && offset % 16 === 0
}

/** A weight's components by name. */
export function weightViews(weight: WeightOf<Operand>, suffix: string): Record<string, View> {
  return Object.fromEntries(
    listComponents(weight).map(({ component, value }) => [
      `${component}${suffix}`,
      reads(value, component === "weight" ? "vec4<u32>" : "u32"),
    ]),
  )
}

export function weightAccessors(views: Readonly<Record<string, Accessor>>, suffix: string): WeightAccessors {
  const at = (role: string) => views[`${role}${suffix}`]
  return { weight: at("weight"), scales: at("scales"), biases: at("biases"), bias: at("bias") }
}
