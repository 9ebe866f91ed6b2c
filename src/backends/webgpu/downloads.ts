import { BackendError } from "../backend.js"
import type { GpuBlock, Buffers } from "./buffers.js"
import type { GpuDevice } from "./device.js"
import { BufferUsage, MAP_READ } from "./gpu_provider.js"
import type { GpuQueue } from "./queue.js"

/** Reads up to so many bytes use pooled staging buffers: a drawn token is read after every step. */
const POOLED_BYTES = 256

/** Copies from the GPU to the host. */
export class Downloads {
  private readonly pool: GPUBuffer[] = []

  constructor(
    private readonly gpu: GpuDevice,
    private readonly buffers: Buffers,
    private readonly queue: GpuQueue,
  ) {}

  /**
   * Bytes as they are after all work submitted so far, and before any submitted later.
   *
   * @throws BackendError when the GPU is lost
   */
  async read({ buffer, offset: first }: GpuBlock, offset: number, into: Uint8Array): Promise<void> {
    const { device } = this.gpu
    const done = this.queue.observer?.span("read")
    const position = first + offset
    const skipped = position % 4
    const size = Math.ceil((skipped + into.byteLength) / 4) * 4
    const isSmall = size <= POOLED_BYTES
    const pooled = isSmall ? this.pool.pop() : undefined
    // What is read is what lies there now, so nothing is awaited before the copy is submitted.
    const requested = pooled ? undefined : this.staging(isSmall ? POOLED_BYTES : size)
    const staging = pooled ?? requested!.buffer
    let isPooled = false
    try {
      // Copying into a buffer that is then refused is an error, too, and says nothing more.
      if (requested) device.pushErrorScope("validation")
      const encoder = device.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer, position - skipped, staging, 0, size)
      device.queue.submit([encoder.finish()])
      if (requested) {
        const judged = device.popErrorScope().catch(() => null)
        await requested.granted
        const refusal = await judged
        if (refusal) throw new Error(refusal.message)
      }
      await staging.mapAsync(MAP_READ, 0, size)
      into.set(new Uint8Array(staging.getMappedRange(0, size), skipped, into.byteLength))
      staging.unmap()
      isPooled = isSmall
    } catch (error) {
      this.gpu.check()
      if (error instanceof BackendError) throw error
      throw new BackendError(`could not read from the GPU: ${(error as Error).message}`)
    } finally {
      if (isPooled) this.pool.push(staging)
      else this.buffers.destroy(staging)
      done?.()
    }
    this.gpu.check()
  }

  private staging(size: number) {
    return this.buffers.request("reading", size, BufferUsage.MAP_READ | BufferUsage.COPY_DST)
  }
}
