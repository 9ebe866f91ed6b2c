import { range } from "../range.js"
import { type ChunkFormat, COMPONENTS, loadVectors, neighbours, scaledChunks, sumPairs } from "./chunk.js"
import { type Eights, type Octets, returnOctet, type WeightFormat } from "./format.js"
import { E2M1, E2M1_PAIRS, E8M0, e2m1Eight } from "./small_floats.js"

const eights: Eights = { uses: [E2M1, E8M0], unscaled: e2m1Eight, factors: (stored) => `e8m0(${stored})` }

const floatOctets: Octets = {
  uses: [E2M1, E8M0],
  isPaired: false,
  scale: (stored) => `e8m0(${stored}).x`,
  decode: ([q]) => `let s = 0.5 * r.scale; ${returnOctet("f32", `e2m1(${q}) * s`, `e2m1(${q} >> 16u) * s`)}`,
}

/** Scales beyond f16's range come in two steps. */
const halfOctets: Octets = {
  uses: [E8M0],
  isPaired: true,
  scale: (stored) => `e8m0(${stored}).x`,
  decode: ([q]) => `let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  ${E2M1_PAIRS.map((pair, i) => `var ${"abcd"[i]} = ${pair(q)} * s;`).join("\n  ")}
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d));`,
}

/**
 * In f16: codes k and k + 4 of a word make a pair. A chunk's activations are scaled by a power of two to fill f16's range,
 * which the weights' 2^-14 brings back; a chunk's sums are f16, everything beyond f32. The pad holds the exponent, to which
 * the weights' is added.
 */
const halfChunks: ChunkFormat = {
  name: "mxfp4 f16",
  elements: 32,
  stride: 5,
  staged: "vec4<u32>",
  uses: [
    {
      text: /* wgsl */ `
fn pair_sum(pair: vec2<f16>, exponent: u32) -> f32 {
  return (f32(pair.x) + f32(pair.y)) * bitcast<f32>((clamp(exponent, 126u, 380u) - 126u) << 23u);
}`,
      enable: ["f16", "subgroups"],
    },
  ],
  stage: (u) => `
let largest = max(abs(v0), abs(v1));
var own = max(max(largest.x, largest.y), max(largest.z, largest.w));
${neighbours(4, "own", "max")}
let exponent = clamp(bitcast<u32>(own) >> 23u, 14u, 253u);
let fit = bitcast<f32>((267u - exponent) << 23u);
let at = base + ((${u}) / 4u) * 5u;
xs[at + (${u}) % 4u] = vec4u(${COMPONENTS.map((c) => `pack2x16float(fit * vec2f(v0.${c}, v1.${c}))`).join(", ")});
if ((${u}) % 4u == 0u) { xs[at + 4u].x = exponent; }`,
  load: (p, at) => `${loadVectors(4)(p, at)} let ${p}exponent = xs[${at} + 4u].x;`,
  decode: (p, w) =>
    COMPONENTS.flatMap((c, i) => E2M1_PAIRS.map((pair, j) => `let ${p}${i}${j} = ${pair(`${w}.${c}`)};`)).join("\n"),
  dot: (w, x, s) => {
    const fours = range(4).map((i) =>
      COMPONENTS.map((c, j) => [`${w}${i}${j}`, `bitcast<vec2<f16>>(${x}${i}.${c})`] as const),
    )
    return `pair_sum(${sumPairs(fours)}, ${s} + ${x}exponent)`
  },
  scaleType: "u32",
  scales: ({ scales }, row, _, chunk) => scales!.load(`${row} + ${chunk}`),
}

/** For devices without f16, and where it must be exact. */
const floatChunks = scaledChunks({
  name: "mxfp4",
  bits: 4,
  groupSize: 32,
  uses: [E2M1, E8M0],
  four: (word) => `e2m1(${word})`,
  factor: 0.5,
  factors: eights.factors,
})

/** E2M1 elements, one E8M0 scale per 32 (OCP Microscaling Formats 1.0). */
export const mxfp4: WeightFormat = {
  name: "mxfp4",
  bits: 4,
  groupSize: 32,
  eights,
  octets: (element) => (element === "f16" ? halfOctets : floatOctets),
  // Staging in f16 asks the neighbouring lane.
  chunks: ({ f16, subgroups }, isExact) => (f16 && subgroups && !isExact ? halfChunks : floatChunks),
  single: null,
}
