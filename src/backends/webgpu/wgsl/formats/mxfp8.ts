import { scaledChunks } from "./chunk.js"
import { type Eights, type Octets, returnOctet, type WeightFormat } from "./format.js"
import { E4M3, E8M0 } from "./small_floats.js"

const eights: Eights = {
  uses: [E4M3, E8M0],
  unscaled: (word) => `let at = row + k / 4u;
  return Eight(e4m3(${word("at")}), e4m3(${word("at + 1u")}));`,
  factors: (stored) => `e8m0(${stored})`,
}

const octets: Octets = {
  uses: eights.uses,
  isPaired: false,
  scale: (stored) => `e8m0(${stored}).x`,
  decode: ([q, next]) => returnOctet("f32", `e4m3(${q}) * r.scale`, `e4m3(${next}) * r.scale`),
}

const chunks = scaledChunks({
  name: "mxfp8",
  bits: 8,
  groupSize: 32,
  uses: eights.uses,
  four: (word) => `e4m3(${word})`,
  factor: 1,
  factors: eights.factors,
})

/** E4M3 elements, one E8M0 scale per 32 (OCP Microscaling Formats 1.0). In f32 throughout: large ones exceed f16. */
export const mxfp8: WeightFormat = {
  name: "mxfp8",
  bits: 8,
  groupSize: 32,
  eights,
  octets: (element) => (element === "f32" ? octets : null),
  chunks: () => chunks,
  single: null,
}
