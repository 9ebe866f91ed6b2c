import type { WeightFormat } from "./format.js"
import { E2M1, E4M3, e2m1Eight } from "./small_floats.js"

/** E2M1 elements, one E4M3 scale per 16. */
export const nvfp4: WeightFormat = {
  name: "nvfp4",
  bits: 4,
  groupSize: 16,
  eights: { uses: [E2M1, E4M3], unscaled: e2m1Eight, factors: (stored) => `vec2f(e4m3(${stored}).x, 1.0)` },
  octets: () => null,
  chunks: () => null,
  single: null,
}
