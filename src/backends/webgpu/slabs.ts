/** Most bytes of a slab, and of what goes into one. */
export const SLAB_BYTES = 1 << 30

export interface SlabPlan {
  /** Bytes of each slab. */
  readonly sizes: readonly number[]
  /** Where each item lies, in the order given. */
  readonly places: readonly { readonly slab: number; readonly offset: number }[]
}

/**
 * Puts items side by side into slabs, in order, so that kernels which read several of them need few bindings. A slab is
 * exactly as large as what lies in it; an item that no slab holds has one of its own. Nothing is lost but what it takes
 * to align each item.
 *
 * @param largest bytes of the largest slab for several items
 */
export function planSlabs(
  byteLengths: readonly number[],
  { alignment, largest }: { readonly alignment: number; readonly largest: number },
): SlabPlan {
  const sizes: number[] = []
  let open: number | undefined
  const places = byteLengths.map((byteLength) => {
    const size = Math.max(1, Math.ceil(byteLength / alignment)) * alignment
    if (size > largest) return { slab: sizes.push(size) - 1, offset: 0 }
    if (open === undefined || sizes[open] + size > largest) open = sizes.push(0) - 1
    const offset = sizes[open]
    sizes[open] += size
    return { slab: open, offset }
  })
  return { sizes, places }
}
