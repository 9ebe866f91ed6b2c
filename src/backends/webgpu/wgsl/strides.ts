import type { Shape } from "../../../tensor/shape.js"
import type { Operand } from "../../../ir/program.js"
import type { Param } from "../dispatch.js"

/** Axes over which elements are visited in row-major order, with each operand's strides in elements. */
export interface StridedLoop {
  readonly shape: readonly number[]
  readonly strides: readonly (readonly number[])[]
}

/** The loop over `shape` in which operands are broadcast to it, in as few axes as their strides allow. */
export function stridedLoop(shape: Shape, operands: readonly Operand[]): StridedLoop {
  const broadcast = operands.map((operand) => {
    const lead = shape.length - operand.shape.length
    return shape.map((_, axis) => (axis < lead || operand.shape[axis - lead] === 1 ? 0 : operand.strides[axis - lead]))
  })
  const merged: number[] = []
  const strides: number[][] = operands.map(() => [])
  shape.forEach((dim, axis) => {
    if (dim === 1) return
    const last = merged.length - 1
    const continues = broadcast.every((own, i) => strides[i][last] === own[axis] * dim)
    if (last >= 0 && continues) {
      merged[last] *= dim
      for (const [i, own] of broadcast.entries()) strides[i][last] = own[axis]
    } else {
      merged.push(dim)
      for (const [i, own] of broadcast.entries()) strides[i].push(own[axis])
    }
  })
  return { shape: merged, strides }
}

export function strideParams({ shape, strides }: StridedLoop): Record<string, Param> {
  const params: Record<string, Param> = {}
  shape.forEach((dim, axis) => {
    params[`dim${axis}`] = dim
    for (const [i, own] of strides.entries()) params[`stride${i}_${axis}`] = own[axis]
  })
  return params
}

/** WGSL that declares, in `names`, each operand's element index for element `i` of the loop. */
export function stridedIndices({ shape, strides }: StridedLoop, i: string, names: readonly string[]): string {
  const lines = [`var rest = ${i};`, ...names.map((name) => `var ${name} = 0u;`)]
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const position = axis === 0 ? "rest" : `rest % params.dim${axis}`
    const terms = strides.map((_, operand) => `${names[operand]} += (${position}) * params.stride${operand}_${axis};`)
    lines.push(...terms, ...(axis === 0 ? [] : [`rest /= params.dim${axis};`]))
  }
  return lines.join("\n  ")
}
