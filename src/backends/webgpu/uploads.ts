import type { Storage } from "../../tensor/storage.js"
import type { LoadOptions } from "../backend.js"
import type { GpuDevice } from "./device.js"
import { BufferUsage, MAP_WRITE } from "./gpu_provider.js"
import type { Block } from "./memory.js"

/** Bytes of one staging buffer, and how many are filled and copied at the same time: what host memory loading takes. */
const STAGING_BYTES = 32 << 20
const STAGING_BUFFERS = 8

/** Part of a storage on its way. */
interface Piece {
  readonly storage: Storage
  readonly offset: number
  readonly size: number
  readonly to: Block
  /** Where it lies in the staging buffer. */
  readonly at: number
}

/**
 * Reads storages straight into mapped staging buffers, several at a time, which the GPU then copies into place. Small
 * storages share a staging buffer and a submit.
 *
 * @throws the first reader's error, or the signal's reason, once nothing is under way any more
 */
export async function upload(
  { device }: GpuDevice,
  targets: readonly { readonly storage: Storage; readonly block: Block }[],
  { onProgress, signal }: LoadOptions,
): Promise<void> {
  const batches = packed(targets)
  const total = targets.reduce((sum, { storage }) => sum + storage.byteLength, 0)
  let loaded = 0
  let failed = false
  const work = async (): Promise<void> => {
    let staging: GPUBuffer | undefined
    try {
      for (let batch = batches.shift(); batch && !failed; batch = batches.shift()) {
        if (staging) await staging.mapAsync(MAP_WRITE)
        else staging = stagingBuffer(device, Math.min(STAGING_BYTES, bytesOf(batch)), batches.length === 0)
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
      staging?.destroy()
    }
  }
  const workers = await Promise.allSettled(Array.from({ length: Math.min(STAGING_BUFFERS, batches.length) }, work))
  const rejected = workers.find((worker) => worker.status === "rejected")
  if (rejected) throw rejected.reason
}

/** Mapped already. Only a load that fits one buffer gets a smaller one. */
function stagingBuffer(device: GPUDevice, byteLength: number, isOnly: boolean): GPUBuffer {
  const size = isOnly ? Math.ceil(byteLength / 4) * 4 : STAGING_BYTES
  const usage = BufferUsage.MAP_WRITE | BufferUsage.COPY_SRC
  return device.createBuffer({ label: "staging", size, usage, mappedAtCreation: true })
}

/** All pieces in order, as many in each batch as a staging buffer holds. */
function packed(targets: readonly { readonly storage: Storage; readonly block: Block }[]): Piece[][] {
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
