import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { BackendError, type LoadOptions } from "../backend.js"
import type { GpuDevice } from "./device.js"
import { Downloads } from "./downloads.js"
import { BufferUsage } from "./gpu_provider.js"
import { upload } from "./uploads.js"

/** A range of a GPU buffer. */
export interface Block {
  readonly buffer: GPUBuffer
  readonly offset: number
}

export interface GpuReplica extends Replica {
  readonly block: Block
}

/** A large buffer that many storages share, so that kernels which read several of them need few bindings. */
interface Slab {
  readonly buffer: GPUBuffer
  readonly size: number
  used: number
  tenants: number
}

/** Most bytes of a slab, and of a storage that goes into one. */
const SLAB_BYTES = 1 << 30

const USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST

/** The GPU's memory: slabs for what is read from elsewhere, a buffer each for what starts as zeros, or grows, and is written. */
export class GpuMemory {
  private readonly downloads: Downloads
  private readonly slabs = new Map<GPUBuffer, Slab>()
  private open: Slab | undefined
  /** Where storages will lie that are being loaded. */
  private readonly arriving = new Map<Storage, Block>()

  constructor(
    private readonly space: MemorySpace,
    private readonly gpu: GpuDevice,
  ) {
    this.downloads = new Downloads(gpu)
  }

  /** A zeroed buffer that kernels may bind. @throws BackendError when it is larger than any buffer can be */
  allocate(label: string, byteLength: number): GPUBuffer {
    const { maxBuffer } = this.gpu.features
    if (byteLength > maxBuffer) {
      throw new BackendError(`${label} takes ${byteLength} bytes, and the largest buffer of the GPU is ${maxBuffer}`)
    }
    return this.gpu.device.createBuffer({ label, size: Math.max(16, Math.ceil(byteLength / 16) * 16), usage: USAGE })
  }

  /** Loads storages that are not here. Their blocks are known from the start: see {@link blockOf}. */
  async makeResident(storages: Iterable<Storage>, options: LoadOptions = {}): Promise<void> {
    const missing = [...new Set(storages)].filter((storage) => !storage.replicaIn(this.space))
    const bytes = missing.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const targets = missing.map((storage) => {
      const { isZero, extended } = storage
      const source = extended?.replicaIn(this.space) as GpuReplica | undefined
      const isLoaded = !isZero && !source
      const block = isLoaded
        ? this.inSlab(storage, bytes)
        : { buffer: this.allocate(storage.name, storage.byteLength), offset: 0 }
      if (source && extended) this.copy(source.block, block, extended.byteLength)
      return { storage, block, isLoaded }
    })
    for (const { storage, block } of targets) this.arriving.set(storage, block)
    try {
      await upload(
        this.gpu,
        targets.filter(({ isLoaded }) => isLoaded),
        options,
      )
      await this.gpu.settle()
      this.gpu.check()
    } catch (error) {
      for (const { block } of targets) this.free(block)
      throw error
    } finally {
      for (const { storage } of targets) this.arriving.delete(storage)
    }
    for (const { storage, block } of targets) storage.addReplica(this.space, this.replica(block))
  }

  /** Being loaded from somewhere: its block is known, its bytes are not there yet. */
  isArriving(storage: Storage): boolean {
    return this.arriving.has(storage) && !storage.isZero
  }

  /** Where a storage lies. @throws BackendError when it is not here */
  blockOf(storage: Storage): Block {
    const replica = storage.replicaIn(this.space) as GpuReplica | undefined
    const block = replica?.block ?? this.arriving.get(storage)
    if (!block) throw new BackendError(`${storage.name} is no longer in the memory of the GPU: compile again`)
    return block
  }

  /** Gives a storage that kernels are going to write a buffer of its own: a dispatch may not write one that it reads. */
  makeWritable(storage: Storage): void {
    const block = this.blockOf(storage)
    if (!this.slabs.has(block.buffer)) return
    const buffer = this.allocate(storage.name, storage.byteLength)
    this.copy(block, { buffer, offset: 0 }, storage.byteLength)
    storage.addReplica(this.space, this.replica({ buffer, offset: 0 }))
  }

  /** From buffer to buffer, after all work submitted so far. */
  private copy(from: Block, to: Block, byteLength: number): void {
    const encoder = this.gpu.device.createCommandEncoder()
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, Math.ceil(byteLength / 4) * 4)
    this.gpu.device.queue.submit([encoder.finish()])
  }

  /** Room in a slab. @param bytes all that is about to be loaded: no slab is larger than that */
  private inSlab(storage: Storage, bytes: number): Block {
    const alignment = this.gpu.features.offsetAlignment
    const { maxBinding, maxBuffer } = this.gpu.features
    const largest = Math.min(SLAB_BYTES, maxBinding, maxBuffer)
    const size = Math.ceil(storage.byteLength / alignment) * alignment
    if (size > largest) return { buffer: this.allocate(storage.name, storage.byteLength), offset: 0 }
    if (!this.open || this.open.used + size > this.open.size) {
      // Alignment may add to what the storages take; a slab that turns out too small is followed by another.
      const room = Math.max(size, Math.min(largest, Math.ceil(bytes / alignment) * alignment))
      this.open = { buffer: this.allocate("weights", room), size: room, used: 0, tenants: 0 }
      this.slabs.set(this.open.buffer, this.open)
    }
    const offset = this.open.used
    this.open.used += size
    this.open.tenants++
    return { buffer: this.open.buffer, offset }
  }

  private free({ buffer }: Block): void {
    const slab = this.slabs.get(buffer)
    if (slab && --slab.tenants > 0) return
    if (slab === this.open) this.open = undefined
    this.slabs.delete(buffer)
    buffer.destroy()
  }

  private replica(block: Block): GpuReplica {
    return {
      block,
      read: (offset, into) => this.downloads.read(block, offset, into),
      dispose: () => this.free(block),
    }
  }
}
