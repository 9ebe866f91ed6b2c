import { itemSize } from "../../../../../tensor/dtype.js"
import { range } from "../../../wgsl/range.js"
import { type ChunkFormat, COMPONENTS, stageFloats } from "../chunk.js"

type DenseDType = "float32" | "bfloat16" | "float16"

/** WGSL of elements `4i` to `4i + 3` of 16 bytes `w` (vec4<u32>), as vec4<f32>. */
export function denseFour(dtype: DenseDType, w: string, i: number): string {
  if (dtype === "float32") return `bitcast<vec4f>(${w})`
  const [a, b] = [`${w}.${COMPONENTS[2 * i]}`, `${w}.${COMPONENTS[2 * i + 1]}`]
  if (dtype === "float16") return `vec4f(unpack2x16float(${a}), unpack2x16float(${b}))`
  return `bitcast<vec4f>(vec4u(${a} << 16u, ${a} & 0xffff0000u, ${b} << 16u, ${b} & 0xffff0000u))`
}

/** Dense rows as stored. */
export function dense(dtype: DenseDType): ChunkFormat {
  const elements = 16 / itemSize(dtype)
  const vectors = elements / 4
  return {
    name: dtype,
    elements,
    stride: vectors + (vectors > 1 ? 1 : 0),
    staged: "vec4<f32>",
    stage: stageFloats({ elements, stride: vectors + (vectors > 1 ? 1 : 0) }),
    load: (p, at) =>
      range(vectors)
        .map((i) => `let ${p}${i} = xs[${at} + ${i}u];`)
        .join("\n"),
    functions: "",
    decode: (p, w) =>
      range(vectors)
        .map((i) => `let ${p}${i} = ${denseFour(dtype, w, i)};`)
        .join("\n"),
    dot: (w, x) =>
      range(vectors)
        .map((i) => `dot(${w}${i}, ${x}${i})`)
        .join(" + "),
    scaleType: "vec2f",
    scales: () => "vec2f()",
  }
}
