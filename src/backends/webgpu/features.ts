/** Shape of a subgroup matrix product: `[m, k] x [k, n] -> [m, n]`, f16 in, f32 accumulated. */
export interface MatrixShape {
  readonly m: number
  readonly n: number
  readonly k: number
}

/** What kernels may use on this device. Every field can be forced down, to test the kernels of weaker devices. */
export interface GpuFeatures {
  /** Sizes a subgroup may have, or null without subgroup operations. */
  readonly subgroups: { readonly min: number; readonly max: number } | null
  readonly f16: boolean
  readonly matrix: MatrixShape | null
  readonly timestamps: boolean
  /** Bytes. */
  readonly maxBinding: number
  readonly maxBuffer: number
  /** Storage buffers of one kernel. */
  readonly maxBindings: number
  readonly maxWorkgroupStorage: number
  readonly maxInvocations: number
  /** Bytes. */
  readonly offsetAlignment: number
  readonly uniformAlignment: number
}

/** Named rungs of {@link GpuFeatures}, each including those before it. */
export const TIERS = ["core", "subgroups", "f16", "matrix"] as const
export type Tier = (typeof TIERS)[number]

/** The highest rung that the features reach. */
export function tierOf({ subgroups, f16, matrix }: GpuFeatures): Tier {
  if (!subgroups) return "core"
  if (!f16) return "subgroups"
  return matrix ? "matrix" : "f16"
}

/** The same device as one that stops at `tier`. */
export function limitedTo(features: GpuFeatures, tier: Tier): GpuFeatures {
  const rung = TIERS.indexOf(tier)
  return {
    ...features,
    subgroups: rung >= 1 ? features.subgroups : null,
    f16: rung >= 2 && features.f16,
    matrix: rung >= 3 ? features.matrix : null,
  }
}

/** The extension with which lanes tell each other values, where the features offer it. */
export function shuffles({ subgroups }: GpuFeatures): "subgroups"[] {
  return subgroups ? ["subgroups"] : []
}
