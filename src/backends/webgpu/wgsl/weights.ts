import { listComponents } from "../../../ir/operands.js"
import type { WeightOf } from "../../../ir/type.js"
import { itemSize } from "../../../tensor/dtype.js"
import type { Quantization } from "../../../tensor/quantization.js"
import { BackendError } from "../../backend.js"
import type { Operand } from "../../../ir/program.js"
import { type Accessor, type Param, reads, type View } from "../dispatch.js"

/** Declares `Eight`, eight consecutive elements of a row, and decoders of small floats. Once per kernel. */
export const EIGHT = /* wgsl */ `
struct Eight { lo: vec4f, hi: vec4f }
fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }
fn e2m1(q: vec4u) -> vec4f {
  let twice = vec4f((vec4u(0xc8643210u) >> ((q & vec4u(7u)) * 4u)) & vec4u(15u));
  return twice * select(vec4f(0.5), vec4f(-0.5), (q & vec4u(8u)) != vec4u(0u));
}
fn e4m3(q: vec4u) -> vec4f {
  let m = q & vec4u(127u);
  let normal = bitcast<vec4f>((m << vec4u(20u)) + vec4u(120u << 23u));
  let magnitude = select(normal, vec4f(m) * 0.001953125, m < vec4u(8u));
  return select(magnitude, -magnitude, (q & vec4u(128u)) != vec4u(0u));
}
// 2^(s - 127) as two factors, as 2^-127 is no normal float.
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }`

/** A stored weight as a kernel reads it. */
export interface WeightReader {
  readonly views: Readonly<Record<string, View>>
  readonly params: Readonly<Record<string, Param>>
  /** Two readers of equal names and keys have equal functions. For labels. */
  readonly name: string
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
    functions: (accessors) => {
      const at = (component: string) => `e * params.${prefix}_${component}_e + n * params.${prefix}_${component}_n`
      const load = (component: string, i: string) => accessors[`${prefix}_${component}`].load(`${at(component)} + ${i}`)
      const signature = "e: u32, n: u32, k: u32"
      const bias = `
fn ${prefix}_bias(e: u32, n: u32) -> f32 { return ${of.bias ? load("bias", "0u") : "0.0"}; }`
      if (!quantization) {
        const element = (i: number) => `select(0.0, ${load("weight", `min(k + ${i}u, last)`)}, k + ${i}u <= last)`
        return `
fn ${prefix}_eight(${signature}) -> Eight {
  let last = params.${prefix}_K - 1u;
  return Eight(
    vec4f(${[0, 1, 2, 3].map(element).join(", ")}),
    vec4f(${[4, 5, 6, 7].map(element).join(", ")}),
  );
}
fn ${prefix}_dot(${signature}, x: Eight) -> f32 { return dot8(${prefix}_eight(e, n, k), x); }${bias}`
      }
      const word = (i: string) => accessors[`${prefix}_weight`].at(i)
      const group = `k / ${quantization.group_size}u`
      const scale = load("scales", group)
      const raw = `
fn ${prefix}_raw(${signature}) -> Eight {
  let row = ${at("weight")};
  ${unpack(quantization, word)}
}`
      if (quantization.mode === "affine") {
        return `${raw}
fn ${prefix}_eight(${signature}) -> Eight {
  let q = ${prefix}_raw(e, n, k);
  let scale = ${scale};
  let bias = ${load("biases", group)};
  return Eight(q.lo * scale + bias, q.hi * scale + bias);
}
fn ${prefix}_dot(${signature}, x: Eight) -> f32 { return dot8(${prefix}_eight(e, n, k), x); }${bias}`
      }
      const factors = quantization.mode === "nvfp4" ? `vec2f(e4m3(vec4u(${scale})).x, 1.0)` : `e8m0(${scale})`
      return `${raw}
fn ${prefix}_eight(${signature}) -> Eight {
  let q = ${prefix}_raw(e, n, k);
  let scale = ${factors};
  return Eight(q.lo * scale.x * scale.y, q.hi * scale.x * scale.y);
}
fn ${prefix}_dot(${signature}, x: Eight) -> f32 {
  let scale = ${factors};
  return dot8(${prefix}_raw(e, n, k), x) * scale.x * scale.y;
}${bias}`
    },
  }
}

/** WGSL that returns the eight unscaled elements at `k` of the row that starts at word `row`. */
function unpack({ mode, bits }: Quantization, word: (i: string) => string): string {
  const fields = (source: string, first: number) => {
    const shifts = [0, 1, 2, 3].map((i) => `${first + bits * i}u`).join(", ")
    return `(vec4u(${source}) >> vec4u(${shifts})) & vec4u(${2 ** bits - 1}u)`
  }
  const value = (q: string) => (mode === "affine" ? `vec4f(${q})` : bits === 4 ? `e2m1(${q})` : `e4m3(${q})`)
  const eight = (lo: string, hi: string) => `return Eight(${value(lo)}, ${value(hi)});`
  if (bits === 8) {
    return `let at = row + k / 4u;
  ${eight(fields(word("at"), 0), fields(word("at + 1u"), 0))}`
  }
  // Eight elements are `bits` bytes, which start anywhere in a word.
  const begin = `let byte = (k / 8u) * ${bits}u;
  let shift = 8u * (byte & 3u);
  var q = ${word("row + byte / 4u")} >> shift;`
  if (bits > 4) {
    // They always reach into the next word, which is then the row's.
    return `${begin}
  let next = ${word("row + byte / 4u + 1u")};
  q |= select(next << (32u - shift), 0u, shift == 0u);
  let high = (q >> ${4 * bits}u) | ((next >> shift) << ${32 - 4 * bits}u);
  ${eight(fields("q", 0), fields("high", 0))}`
  }
  const spill = bits === 3 ? `if (shift > 8u) { q |= ${word("row + byte / 4u + 1u")} << (32u - shift); }` : ""
  return `${begin} ${spill}
  ${eight(fields("q", 0), fields("q", 4 * bits))}`
}
