import { BackendError } from "../backend.js"
import type { GpuDevice } from "./device.js"
import { BufferUsage, MAP_READ } from "./gpu_provider.js"
import type { Block } from "./memory.js"

/** Reads up to so many bytes use pooled staging buffers: a drawn token is read after every step. */
const POOLED_BYTES = 256

/** Copies from the GPU to the host. */
export class Downloads {
  private readonly pool: GPUBuffer[] = []

  constructor(private readonly gpu: GpuDevice) {}

  /**
   * Bytes as they are after all work submitted so far, and before any submitted later.
   *
   * @throws BackendError when the GPU is lost
   */
  async read({ buffer, offset: first }: Block, offset: number, into: Uint8Array): Promise<void> {
    const { device, profiler } = this.gpu
    const done = profiler?.span("read")
    const start = (first + offset) & ~3
    const skipped = first + offset - start
    const size = Math.ceil((skipped + into.byteLength) / 4) * 4
    const isSmall = size <= POOLED_BYTES
    const staging = (isSmall && this.pool.pop()) || this.staging(isSmall ? POOLED_BYTES : size)
    try {
      const encoder = device.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer, start, staging, 0, size)
      device.queue.submit([encoder.finish()])
      await staging.mapAsync(MAP_READ, 0, size)
      into.set(new Uint8Array(staging.getMappedRange(0, size), skipped, into.byteLength))
      staging.unmap()
      if (isSmall) this.pool.push(staging)
      else staging.destroy()
    } catch (error) {
      staging.destroy()
      this.gpu.check()
      throw new BackendError(`could not read from the GPU: ${(error as Error).message}`)
    } finally {
      done?.()
    }
    this.gpu.check()
  }

  private staging(size: number): GPUBuffer {
    return this.gpu.device.createBuffer({ label: "read", size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST })
  }
}
