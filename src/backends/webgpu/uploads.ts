import type { Storage } from "../../tensor/storage.js"
import type { LoadOptions } from "../backend.js"
import type { GpuBlock, Buffers } from "./buffers.js"
import { BufferUsage, MAP_WRITE } from "./gpu_provider.js"

/** Bytes of one staging buffer, and how many are filled and copied at the same time: what host memory loading takes. */
const STAGING_BYTES = 32 << 20
const STAGING_BUFFERS = 8

/** A storage and where its bytes go. */
interface Target {
  readonly storage: Storage
  readonly block: GpuBlock
}

/** Component of a storage on its way. */
interface Piece {
  readonly storage: Storage
  readonly offset: number
  readonly size: number
  readonly to: GpuBlock
  /** Where it lies in the staging buffer. */
  readonly at: number
}

/** Bytes of each staging buffer that loading takes. Only a load that fits one buffer gets a smaller one. */
function stagingSizes(batches: readonly Piece[][]): number[] {
  if (batches.length === 1) return [bytesOf(batches[0])]
  return new Array(Math.min(STAGING_BUFFERS, batches.length)).fill(STAGING_BYTES)
}

/** The same of a load to come. */
export function stagingSizesOf(targets: readonly Target[]): number[] {
  return stagingSizes(packed(targets))
}

/**
 * Reads storages straight into mapped staging buffers, several at a time, which the GPU then copies into place. Small
 * storages share a staging buffer and a submit.
 *
 * @throws the first reader's error, OutOfMemoryError, or the signal's reason, once nothing is under way any more
 */
export async function upload(
  device: GPUDevice,
  buffers: Buffers,
  targets: readonly Target[],
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const batches = packed(targets)
  const total = targets.reduce((sum, { storage }) => sum + storage.byteLength, 0)
  let loaded = 0
  let failed = false
  const work = async (stagingBytes: number): Promise<void> => {
    let staging: GPUBuffer | undefined
    try {
      for (let batch = batches.shift(); batch && !failed; batch = batches.shift()) {
        staging ??= await buffers.create("staging", stagingBytes, BufferUsage.MAP_WRITE | BufferUsage.COPY_SRC)
        await staging.mapAsync(MAP_WRITE)
        const bytes = new Uint8Array(staging.getMappedRange())
        for (const { storage, offset, size, at } of batch) {
          signal?.throwIfAborted()
          await storage.read(offset, bytes.subarray(at, at + size))
          loaded += size
          onProgress?.(loaded, total)
        }
        staging.unmap()
        const encoder = device.createCommandEncoder()
        for (const { to, offset, size, at } of batch) {
          encoder.copyBufferToBuffer(staging, at, to.buffer, to.offset + offset, Math.ceil(size / 4) * 4)
        }
        device.queue.submit([encoder.finish()])
      }
    } catch (error) {
      failed = true
      throw error
    } finally {
      if (staging) buffers.destroy(staging)
    }
  }
  const workers = await Promise.allSettled(stagingSizes(batches).map(work))
  const rejected = workers.find((worker) => worker.status === "rejected")
  if (rejected) throw rejected.reason
}

/** All pieces in order, as many in each batch as a staging buffer holds. */
function packed(targets: readonly Target[]): Piece[][] {
  const batches: Piece[][] = []
  let batch: Piece[] = []
  let at = 0
  for (const { storage, block } of targets) {
    for (let offset = 0; offset < storage.byteLength; ) {
      if (at >= STAGING_BYTES) {
        batches.push(batch)
        batch = []
        at = 0
      }
      const size = Math.min(storage.byteLength - offset, STAGING_BYTES - at)
      batch.push({ storage, offset, size, to: block, at })
      offset += size
      at += Math.ceil(size / 4) * 4
    }
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

function bytesOf(batch: readonly Piece[]): number {
  const { at, size } = batch[batch.length - 1]
  return Math.ceil((at + size) / 4) * 4
}
