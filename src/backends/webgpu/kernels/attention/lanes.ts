/** How partial sums of several heads meet across the lanes that share a key. */
export interface LaneSums {
  /** Sums that each lane is left with: heads are spread over lanes where halving allows. */
  readonly kept: number
  /** WGSL (u32) for the head of a lane's `i`-th sum. */
  head(i: number): string
  /** WGSL (bool): whether this lane speaks for its sums, of the lanes that have the same. */
  readonly speaks: string
  /** WGSL statements that sum `name0`..`name<heads - 1>` (f32 variables) over the lanes, into the first `kept`. */
  sum(name: string): string
  /** WGSL for head `h` of `name0`..`name<kept - 1>`, in every lane. */
  fetch(name: string, h: number): string
}

/**
 * Through shuffles: each step halves the lanes, and the heads too while they are even, so that a lane ends with a share
 * of the heads. The kernel's lane within its key is `lane`, and `sg_lane` its index in the subgroup.
 *
 * @param lanes a power of two that divides every subgroup
 */
export function shuffledSums(heads: number, lanes: number): LaneSums {
  const steps: { mask: number; half: number | null }[] = []
  let kept = heads
  for (let mask = lanes / 2; mask >= 1; mask /= 2) {
    const halves = kept % 2 === 0
    if (halves) kept /= 2
    steps.push({ mask, half: halves ? kept : null })
  }
  const plain = steps.reduce((sum, { mask, half }) => (half === null ? sum + mask : sum), 0)
  const place = (h: number) => {
    let [slot, owner] = [h, 0]
    for (const { mask, half } of steps) {
      if (half === null || slot < half) continue
      slot -= half
      owner += mask
    }
    return { slot, owner }
  }
  return {
    kept,
    head: (i) =>
      [
        `${i}u`,
        ...steps.flatMap(({ mask, half }) => (half ? [`select(0u, ${half}u, (lane & ${mask}u) != 0u)`] : [])),
      ].join(" + "),
    speaks: plain ? `(lane & ${plain}u) == 0u` : "true",
    sum: (name) => {
      let count = heads
      return steps
        .flatMap(({ mask, half }) => {
          count = half ?? count
          return Array.from({ length: count }, (_, i) => {
            const x = `${name}${i}`
            if (half === null) return `${x} += subgroupShuffleXor(${x}, ${mask}u);`
            const y = `${name}${i + half}`
            const upper = `(lane & ${mask}u) != 0u`
            return `${x} = select(${x}, ${y}, ${upper}) + subgroupShuffleXor(select(${y}, ${x}, ${upper}), ${mask}u);`
          })
        })
        .join("\n")
    },
    fetch: (name, h) => {
      const { slot, owner } = place(h)
      return steps.some(({ half }) => half)
        ? `subgroupShuffle(${name}${slot}, sg_lane - lane + ${owner}u)`
        : `${name}${slot}`
    },
  }
}

/** Through workgroup memory `pool` of `heads * threads` floats: every lane ends with all heads. Has barriers. */
export function pooledSums(heads: number, lanes: number, threads: number): LaneSums {
  const all = Array.from({ length: heads }, (_, h) => h)
  return {
    kept: heads,
    head: (i) => `${i}u`,
    speaks: "lane == 0u",
    sum: (name) =>
      lanes === 1
        ? ""
        : [
            ...all.map((h) => `pool[${h * threads}u + lid] = ${name}${h};`),
            "workgroupBarrier();",
            ...all.map((h) => {
              const parts = Array.from({ length: lanes }, (_, j) => `pool[${h * threads + j}u + lid - lane]`)
              return `${name}${h} = ${parts.join(" + ")};`
            }),
            "workgroupBarrier();",
          ].join("\n"),
    fetch: (name, h) => `${name}${h}`,
  }
}
