import type { Operand } from "../../../../ir/program.js"
import type { Accessor } from "../../dispatch.js"
import type { Codec } from "./codec.js"

/** One of the things that a thread does in turn: number `u`, on `job`, if `guard` holds. */
export interface Staging {
  readonly u: number
  readonly job: string
  readonly guard: string | null
}

export function stagings(jobs: number, threads: number): Staging[] {
  return Array.from({ length: Math.ceil(jobs / threads) }, (_, u) => ({
    u,
    job: u === 0 ? "lid" : `lid + ${u * threads}u`,
    guard: (u + 1) * threads > jobs ? `lid < ${jobs - u * threads}u` : null,
  }))
}

export function guarded(guard: string | null, statements: string): string {
  return guard ? `if (${guard}) { ${statements} }` : `{ ${statements} }`
}

/**
 * Loads of a step's operands into the registers of number `i`, to be in flight while steps before are multiplied.
 *
 * @param names of the weights: the columns of the first fill the tile up to `half`
 */
export function loads(
  xs: readonly Staging[],
  ws: readonly Staging[],
  names: readonly string[],
  { unit, bounded }: Codec,
  half: number,
  ragged: boolean,
) {
  return (i: number, step: string): string => {
    const k = (name: string) => `(${step}) * BK + ${name}_k`
    const inside = (at: string) => (ragged && !bounded ? `min(${at}, K - ${unit}u)` : at)
    const ofX = xs.map(({ u, guard }) => guarded(guard, `x${u}_${i} = load_x(x${u}_start, ${k(`x${u}`)});`))
    const ofW = ws.map(({ u, guard }) => {
      const load = (name: string) => `w${u}_${i} = load_${name}(expert, w${u}_n, ${inside(k(`w${u}`))});`
      const [first, second] = names
      const both = `if (w${u}_column < ${half}u) { ${load(first)} } else { ${load(second)} }`
      return guarded(guard, second ? both : load(first))
    })
    // What is staged first is loaded first.
    return [...ofX, ...ofW].join("\n      ")
  }
}

/** `load_x`: eight elements of a row, zero beyond K, and `x_octet`, which makes an Octet in the weights' order of them. */
export function xLoader(x: Operand, { paired }: Codec, vectors: boolean, ragged: boolean, at: Accessor): string {
  const element = x.dtype === "float16" ? "f16" : "f32"
  const values = (from: number) =>
    vectors
      ? at.at(`(start + k) / 4u + ${from / 4}u`)
      : `vec4<f32>(${[0, 1, 2, 3].map((i) => `select(0.0, ${at.at(`start + min(k + ${from + i}u, K - 1u)`)}, k + ${from + i}u < K)`)})`
  const beyond = ragged && vectors ? "if (k >= K) { return XRaw(); }" : ""
  const order = paired ? "Octet(vec4(lo.x, hi.x, lo.y, hi.y), vec4(lo.z, hi.z, lo.w, hi.w))" : "Octet(lo, hi)"
  if (element === "f16") {
    return `struct XRaw { q: vec4<u32> }
fn load_x(start: u32, k: u32) -> XRaw { ${beyond} return XRaw(${at.at("(start + k) / 8u")}); }
fn x_octet(r: XRaw) -> Octet {
  let lo = bitcast<vec4<f16>>(r.q.xy);
  let hi = bitcast<vec4<f16>>(r.q.zw);
  return ${order};
}`
  }
  return `struct XRaw { lo: vec4<f32>, hi: vec4<f32> }
fn load_x(start: u32, k: u32) -> XRaw { ${beyond} return XRaw(${values(0)}, ${values(4)}); }
fn x_octet(r: XRaw) -> Octet {
  let lo = Four(r.lo);
  let hi = Four(r.hi);
  return ${order};
}`
}
