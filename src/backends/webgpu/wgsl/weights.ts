import { listComponents } from "../../../ir/operands.js"
import type { WeightOf } from "../../../ir/type.js"
import { itemSize } from "../../../tensor/dtype.js"
import { BackendError } from "../../backend.js"
import type { Operand } from "../../../ir/program.js"
import { type Accessor, type Param, reads, type View } from "../dispatch.js"
import type { Declaration } from "./declaration.js"
import { EIGHT } from "./formats/format.js"
import { formatOf } from "./formats/formats.js"

/** A stored weight as a kernel reads it. */
export interface WeightReader {
  readonly views: Readonly<Record<string, View>>
  readonly params: Readonly<Record<string, Param>>
  /** Two readers of equal names and keys have equal functions. For labels. */
  readonly name: string
  readonly uses: readonly Declaration[]
  /**
   * WGSL functions, for expert `e` (0 where there are none), row `n` and column `k`, a multiple of 8:
   * `<prefix>_eight(e, n, k) -> Eight` the elements `k` to `k + 7`, zeros past a row's end;
   * `<prefix>_dot(e, n, k, x: Eight) -> f32` their product with activations;
   * `<prefix>_bias(e, n) -> f32`, 0 without one.
   */
  functions(accessors: Readonly<Record<string, Accessor>>): string
}

/**
 * Decodes any weight format, eight elements at a time; sizes and strides are parameters, so that weights of one format
 * share a pipeline. `K` is the length of a row in elements.
 *
 * @throws BackendError when packed rows do not start at whole words
 */
export function weightReader(prefix: string, of: WeightOf<Operand>, K: number): WeightReader {
  const { quantization } = of
  const { eights } = formatOf(of)
  const views: Record<string, View> = {}
  const params: Record<string, Param> = { [`${prefix}_K`]: K }
  for (const { component, value: operand } of listComponents(of)) {
    const rowAxis = operand.shape.length - (component === "bias" ? 1 : 2)
    const packed = component === "weight" && quantization
    const unit = packed ? 4 / itemSize(operand.dtype) : 1
    const strides = [operand.strides[rowAxis], operand.strides[rowAxis - 1] ?? 0]
    if (packed && [operand.offset / itemSize(operand.dtype), ...strides].some((at) => at % unit !== 0)) {
      throw new BackendError(`webgpu: packed weight rows must start at multiples of 4 bytes: copy the weight first`)
    }
    views[`${prefix}_${component}`] = reads(operand, "u32")
    params[`${prefix}_${component}_n`] = strides[0] / unit
    params[`${prefix}_${component}_e`] = strides[1] / unit
  }
  return {
    views,
    params,
    name: quantization ? `${quantization.mode} ${quantization.bits}/${quantization.group_size}` : of.weight.dtype,
    uses: [EIGHT, ...(eights?.uses ?? [])],
    functions: (accessors) => {
      const at = (component: string) => `e * params.${prefix}_${component}_e + n * params.${prefix}_${component}_n`
      const load = (component: string, i: string) => accessors[`${prefix}_${component}`].load(`${at(component)} + ${i}`)
      const signature = "e: u32, n: u32, k: u32"
      const bias = `
fn ${prefix}_bias(e: u32, n: u32) -> f32 { return ${of.bias ? load("bias", "0u") : "0.0"}; }`
      const plainDot = `
fn ${prefix}_dot(${signature}, x: Eight) -> f32 { return dot8(${prefix}_eight(e, n, k), x); }${bias}`
      if (!quantization || !eights) {
        const element = (i: number) => `select(0.0, ${load("weight", `min(k + ${i}u, last)`)}, k + ${i}u <= last)`
        return `
fn ${prefix}_eight(${signature}) -> Eight {
  let last = params.${prefix}_K - 1u;
  return Eight(
    vec4f(${[0, 1, 2, 3].map(element).join(", ")}),
    vec4f(${[4, 5, 6, 7].map(element).join(", ")}),
  );
}${plainDot}`
      }
      const group = `k / ${quantization.group_size}u`
      const scale = eights.factors(load("scales", group))
      const offset = of.biases ? ` + ${load("biases", group)}` : ""
      const scaled = `
fn ${prefix}_raw(${signature}) -> Eight {
  let row = ${at("weight")};
  ${eights.unscaled((i) => accessors[`${prefix}_weight`].at(i))}
}
fn ${prefix}_eight(${signature}) -> Eight {
  let q = ${prefix}_raw(e, n, k);
  let scale = ${scale};
  return Eight(q.lo * scale.x * scale.y${offset}, q.hi * scale.x * scale.y${offset});
}`
      if (of.biases) return `${scaled}${plainDot}`
      return `${scaled}
fn ${prefix}_dot(${signature}, x: Eight) -> f32 {
  let scale = ${scale};
  return dot8(${prefix}_raw(e, n, k), x) * scale.x * scale.y;
}${bias}`
    },
  }
}
