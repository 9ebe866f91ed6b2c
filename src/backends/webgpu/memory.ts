import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { BackendError, type LoadOptions } from "../backend.js"
import type { GpuDevice } from "./device.js"
import { BufferUsage, MAP_READ } from "./gpu_provider.js"

/** A range of a GPU buffer. */
export interface Block {
  readonly buffer: GPUBuffer
  readonly offset: number
}

export interface GpuReplica extends Replica {
  readonly block: Block
}

/** Bytes read from a file at a time. */
const CHUNK = 16 << 20

const USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST

/** The GPU's memory: a buffer per storage, filled in chunks. */
export class GpuMemory {
  constructor(
    private readonly space: MemorySpace,
    private readonly gpu: GpuDevice,
  ) {}

  /** A zeroed buffer that kernels may bind. @throws BackendError when it is larger than any buffer can be */
  allocate(label: string, byteLength: number): GPUBuffer {
    const { maxBuffer } = this.gpu.features
    if (byteLength > maxBuffer) {
      throw new BackendError(`${label} takes ${byteLength} bytes, and the largest buffer of the GPU is ${maxBuffer}`)
    }
    return this.gpu.device.createBuffer({ label, size: Math.max(16, Math.ceil(byteLength / 16) * 16), usage: USAGE })
  }

  async makeResident(storages: Iterable<Storage>, { onProgress, signal }: LoadOptions = {}): Promise<void> {
    const missing = [...new Set(storages)].filter((storage) => !storage.replicaIn(this.space))
    const total = missing.reduce((sum, { byteLength }) => sum + byteLength, 0)
    let loaded = 0
    for (const storage of missing) {
      const block = { buffer: this.allocate(storage.name, storage.byteLength), offset: 0 }
      const source = storage.extended?.replicaIn(this.space) as GpuReplica | undefined
      if (source) {
        this.copy(source.block, block, storage.extended!.byteLength)
      } else if (!storage.isZero) {
        for (let offset = 0; offset < storage.byteLength; offset += CHUNK) {
          signal?.throwIfAborted()
          const size = Math.min(CHUNK, storage.byteLength - offset)
          const bytes = new Uint8Array(Math.ceil(size / 4) * 4)
          await storage.read(offset, bytes.subarray(0, size))
          this.gpu.device.queue.writeBuffer(block.buffer, block.offset + offset, bytes)
          onProgress?.(loaded + offset + size, total)
        }
        await this.gpu.device.queue.onSubmittedWorkDone()
      }
      this.gpu.check()
      storage.addReplica(this.space, this.replica(block))
      loaded += storage.byteLength
    }
    await this.gpu.settle()
  }

  /** Where a storage lies. @throws BackendError when it is not here */
  blockOf(storage: Storage): Block {
    const replica = storage.replicaIn(this.space) as GpuReplica | undefined
    if (!replica) throw new BackendError(`${storage.name} is no longer in the memory of the GPU: compile again`)
    return replica.block
  }

  private replica(block: Block): GpuReplica {
    return {
      block,
      read: (offset, into) => this.read(block.buffer, block.offset + offset, into),
      dispose: () => block.buffer.destroy(),
    }
  }

  /** From buffer to buffer, after all work submitted so far. */
  private copy(from: Block, to: Block, byteLength: number): void {
    const encoder = this.gpu.device.createCommandEncoder()
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, Math.ceil(byteLength / 4) * 4)
    this.gpu.device.queue.submit([encoder.finish()])
  }

  /** Copies bytes as they are after all work submitted so far. */
  private async read(buffer: GPUBuffer, offset: number, into: Uint8Array): Promise<void> {
    const { device, profiler } = this.gpu
    const done = profiler?.span("read")
    const start = offset & ~3
    const size = Math.ceil((offset + into.byteLength - start) / 4) * 4
    const staging = device.createBuffer({ size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST })
    try {
      const encoder = device.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer, start, staging, 0, size)
      device.queue.submit([encoder.finish()])
      await staging.mapAsync(MAP_READ)
      into.set(new Uint8Array(staging.getMappedRange(), offset - start, into.byteLength))
    } catch (error) {
      this.gpu.check()
      throw new BackendError(`could not read from the GPU: ${(error as Error).message}`)
    } finally {
      staging.destroy()
      done?.()
    }
    this.gpu.check()
  }
}
