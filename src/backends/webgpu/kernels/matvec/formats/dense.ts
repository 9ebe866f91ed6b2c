import { itemSize } from "../../../../../tensor/dtype.js"
import { range } from "../../../wgsl/range.js"
import { type ChunkFormat, COMPONENTS, stageFloats } from "../chunk.js"

/** Dense rows as stored. */
export function dense(dtype: "float32" | "bfloat16" | "float16"): ChunkFormat {
  const elements = 16 / itemSize(dtype)
  const vectors = elements / 4
  const halves = (w: string, i: number) => [`${w}.${COMPONENTS[2 * i]}`, `${w}.${COMPONENTS[2 * i + 1]}`]
  const decode = (w: string, i: number): string => {
    if (dtype === "float32") return `bitcast<vec4f>(${w})`
    const [a, b] = halves(w, i)
    if (dtype === "float16") return `vec4f(unpack2x16float(${a}), unpack2x16float(${b}))`
    return `bitcast<vec4f>(vec4u(${a} << 16u, ${a} & 0xffff0000u, ${b} << 16u, ${b} & 0xffff0000u))`
  }
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
        .map((i) => `let ${p}${i} = ${decode(w, i)};`)
        .join("\n"),
    dot: (w, x) =>
      range(vectors)
        .map((i) => `dot(${w}${i}, ${x}${i})`)
        .join(" + "),
    scaleType: "vec2f",
    scales: () => "vec2f()",
  }
}
