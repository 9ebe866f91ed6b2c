import { formatBytes } from "../../tensor/bytes.js"
import { BackendError, OutOfMemoryError } from "../backend.js"
import { BufferUsage } from "./gpu_provider.js"

/** What it takes to make a buffer and to be told that there is no room. */
export type BufferDevice = Pick<GPUDevice, "createBuffer" | "pushErrorScope" | "popErrorScope">

/** A range of a GPU buffer. */
export interface GpuBlock {
  readonly buffer: GPUBuffer
  readonly offset: number
}

const MIB = 1 << 20

/**
 * Bytes of memory that a buffer takes. Dawn on Vulkan cuts buffers of up to 4 MiB out of larger blocks by powers of two
 * (ResourceMemoryAllocatorVk.cpp); above, each is an allocation of its own, which drivers make of pages: of 2 MiB at most.
 */
export function bytesTaken(size: number): number {
  return size <= 4 * MIB ? 2 ** Math.ceil(Math.log2(Math.max(size, 256))) : Math.ceil(size / (2 * MIB)) * 2 * MIB
}

/** Makes and frees a backend's buffers, one by one, and knows what they take. */
export class Buffers {
  /** What each one takes. */
  private readonly live = new Map<GPUBuffer, number>()
  private taken = 0
  private most = 0

  constructor(
    private readonly device: BufferDevice,
    /** The device's, for messages. */
    private readonly name: string,
    private readonly maxBuffer: number,
  ) {}

  /** Bytes that the buffers take: see {@link bytesTaken}. */
  get bytes(): number {
    return this.taken
  }

  /** The most that `bytes` has been. */
  get peak(): number {
    return this.most
  }

  /**
   * A zeroed buffer, once the device has granted it.
   *
   * @throws OutOfMemoryError when the memory does not suffice; BackendError when it is larger than any buffer can be
   */
  async create(label: string, byteLength: number, usage: number): Promise<GPUBuffer> {
    const { buffer, granted } = this.request(label, byteLength, usage)
    await granted
    return buffer
  }

  /** The same for those who cannot wait. Before it is granted, what is done with the buffer may be an error. */
  request(label: string, byteLength: number, usage: number): { buffer: GPUBuffer; granted: Promise<void> } {
    if (byteLength > this.maxBuffer) {
      throw new BackendError(
        `${label} takes ${byteLength} bytes, and the largest buffer of the GPU is ${this.maxBuffer}`,
      )
    }
    const size = Math.max(16, Math.ceil(byteLength / 16) * 16)
    const { device } = this
    device.pushErrorScope("validation")
    device.pushErrorScope("out-of-memory")
    const buffer = device.createBuffer({ label, size, usage })
    // A device that was lost judges nothing: whoever uses the buffer is told.
    const judged = Promise.all([0, 1].map(() => device.popErrorScope().catch(() => null)))
    this.live.set(buffer, bytesTaken(size))
    this.taken += bytesTaken(size)
    this.most = Math.max(this.most, this.taken)
    const granted = judged.then(([short, invalid]) => {
      const refusal = short ?? invalid
      if (!refusal) return
      this.destroy(buffer)
      const cause = new Error(refusal.message)
      if (!short) throw new BackendError(`the GPU refused a buffer for ${label}: ${refusal.message}`, { cause })
      throw new OutOfMemoryError(
        `${this.name} is out of memory: there is no room for ${label}, ${formatBytes(size)}, beside ` +
          `${formatBytes(this.taken)} in ${this.live.size} buffers`,
        { cause },
      )
    })
    return { buffer, granted }
  }

  /** A buffer that kernels may bind. Throws as `create`. */
  storage(label: string, byteLength: number): Promise<GPUBuffer> {
    return this.create(label, byteLength, BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST)
  }

  destroy(buffer: GPUBuffer): void {
    buffer.destroy()
    this.taken -= this.live.get(buffer) ?? 0
    this.live.delete(buffer)
  }
}
