import type { WeightFormat } from "./format.js"
import { E4M3, E8M0 } from "./small_floats.js"

/** E4M3 elements, one E8M0 scale per 32. */
export const mxfp8: WeightFormat = {
  name: "mxfp8",
  bits: 8,
  groupSize: 32,
  eights: {
    uses: [E4M3, E8M0],
    unscaled: (word) => `let at = row + k / 4u;
  return Eight(e4m3(${word("at")}), e4m3(${word("at + 1u")}));`,
    factors: (stored) => `e8m0(${stored})`,
  },
  octets: () => null,
  chunks: () => null,
  single: null,
}
