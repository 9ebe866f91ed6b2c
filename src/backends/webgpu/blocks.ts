import type { Storage } from "../../tensor/storage.js"
import type { GpuBlock, Buffers } from "./buffers.js"
import type { GpuFeatures } from "./features.js"
import { planSlabs, SLAB_BYTES } from "./slabs.js"

/** A storage that gets a block. */
export interface Newcomer {
  readonly storage: Storage
  /** Whether its bytes come from the host: what starts as zeros, or as a copy of what is here, is going to be written. */
  readonly isLoaded: boolean
}

/**
 * Blocks for storages, in the order given. Those that are loaded share slabs; the others get a buffer each, as a dispatch
 * may not write a buffer that it reads.
 *
 * @throws OutOfMemoryError, BackendError as `Buffers.create`: then nothing is left allocated
 */
export async function allocateBlocks(
  newcomers: readonly Newcomer[],
  buffers: Buffers,
  { offsetAlignment: alignment, maxBinding, maxBuffer }: GpuFeatures,
): Promise<GpuBlock[]> {
  const largest = Math.floor(Math.min(SLAB_BYTES, maxBinding, maxBuffer) / alignment) * alignment
  const loaded = newcomers.filter(({ isLoaded }) => isLoaded).map(({ storage }) => storage)
  const plan = planSlabs(
    loaded.map(({ byteLength }) => byteLength),
    { alignment, largest },
  )
  const made: GPUBuffer[] = []
  const make = async (label: string, byteLength: number) => {
    const buffer = await buffers.storage(label, byteLength)
    made.push(buffer)
    return buffer
  }
  try {
    const slabs: GPUBuffer[] = []
    for (const [i, size] of plan.sizes.entries()) {
      const first = loaded[plan.places.findIndex(({ slab }) => slab === i)]
      slabs.push(await make(size > largest ? first.name : `weights from ${first.name} on`, size))
    }
    const places = plan.places.values()
    const blocks: GpuBlock[] = []
    for (const { storage, isLoaded } of newcomers) {
      if (isLoaded) {
        const { slab, offset } = places.next().value!
        blocks.push({ buffer: slabs[slab], offset })
      } else blocks.push({ buffer: await make(storage.name, storage.byteLength), offset: 0 })
    }
    return blocks
  } catch (error) {
    for (const buffer of made) buffers.destroy(buffer)
    throw error
  }
}
