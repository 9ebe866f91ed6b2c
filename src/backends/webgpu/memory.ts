import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { BackendError, type LoadOptions } from "../backend.js"
import { allocateBlocks, type Newcomer } from "./blocks.js"
import { type GpuBlock, Buffers } from "./buffers.js"
import type { GpuDevice } from "./device.js"
import { Downloads } from "./downloads.js"
import type { GpuQueue } from "./queue.js"
import { upload } from "./uploads.js"
import { Workspace } from "./workspace.js"

export interface GpuReplica extends Replica {
  readonly block: GpuBlock
}

/** A storage with the block that waits for its bytes. */
export interface Arrival extends Newcomer {
  readonly block: GpuBlock
}

/** The GPU's memory: where storages lie, and what programs use while they run. */
export class GpuMemory {
  readonly buffers: Buffers
  readonly workspace: Workspace
  private readonly downloads: Downloads
  /** How many storages lie in a buffer, where it is more than one. */
  private readonly tenants = new Map<GPUBuffer, number>()
  /** Where storages will lie that are being loaded. */
  private readonly arriving = new Map<Storage, GpuBlock>()
  private departed = 0

  constructor(
    private readonly space: MemorySpace,
    private readonly gpu: GpuDevice,
    queue: GpuQueue,
  ) {
    this.buffers = new Buffers(gpu.device, gpu.description, gpu.features.maxBuffer)
    this.workspace = new Workspace(this.buffers)
    this.downloads = new Downloads(gpu, this.buffers, queue)
  }

  /** Grows when a storage leaves its block: as long as it does not, all lie where they did. */
  get departures(): number {
    return this.departed
  }

  /**
   * Allocates the blocks of storages that are not here: `load` or `abandon` them.
   *
   * @throws OutOfMemoryError, BackendError as `Buffers.create`: then nothing is left allocated
   */
  async place(storages: Iterable<Storage>): Promise<Arrival[]> {
    const missing = [...new Set(storages)].filter((storage) => !storage.replicaIn(this.space))
    const newcomers = missing.map((storage) => {
      const source = storage.extended?.replicaIn(this.space) as GpuReplica | undefined
      return { storage, source, isLoaded: !storage.isZero && !source }
    })
    const blocks = await allocateBlocks(newcomers, this.buffers, this.gpu.features)
    return newcomers.map(({ storage, source, isLoaded }, i) => {
      const block = blocks[i]
      this.arriving.set(storage, block)
      if (isLoaded) this.tenants.set(block.buffer, (this.tenants.get(block.buffer) ?? 0) + 1)
      if (source && storage.extended) this.copy(source.block, block, storage.extended.byteLength)
      return { storage, isLoaded, block }
    })
  }

  /** Fills the blocks. On any error they are freed. */
  async load(arrivals: readonly Arrival[], options: LoadOptions = {}): Promise<void> {
    try {
      await upload(
        this.gpu.device,
        this.buffers,
        arrivals.filter(({ isLoaded }) => isLoaded),
        options,
      )
      await this.gpu.settle()
      this.gpu.check()
    } catch (error) {
      this.abandon(arrivals)
      throw error
    }
    for (const { storage, block } of arrivals) {
      this.arriving.delete(storage)
      storage.addReplica(this.space, this.replica(block))
    }
  }

  /** Frees the blocks instead. */
  abandon(arrivals: readonly Arrival[]): void {
    for (const { storage, block } of arrivals) {
      this.arriving.delete(storage)
      this.free(block)
    }
  }

  /** Where a storage lies, or will once it is loaded. @throws BackendError when it is not here */
  blockOf(storage: Storage): GpuBlock {
    const replica = storage.replicaIn(this.space) as GpuReplica | undefined
    const block = replica?.block ?? this.arriving.get(storage)
    if (!block) throw new BackendError(`${storage.name} is no longer in the memory of the GPU: compile again`)
    return block
  }

  /** Declares that a program has written a storage here: other copies are stale. */
  written(storage: Storage): void {
    storage.written(this.space)
  }

  /** Gives a storage that kernels are going to write a buffer of its own: a dispatch may not write one that it reads. */
  async makeWritable(storage: Storage): Promise<void> {
    const block = this.blockOf(storage)
    if ((this.tenants.get(block.buffer) ?? 1) === 1) return
    const buffer = await this.buffers.storage(storage.name, storage.byteLength)
    this.copy(block, { buffer, offset: 0 }, storage.byteLength)
    storage.addReplica(this.space, this.replica({ buffer, offset: 0 }))
  }

  /** From buffer to buffer, after all work submitted so far. */
  private copy(from: GpuBlock, to: GpuBlock, byteLength: number): void {
    const encoder = this.gpu.device.createCommandEncoder()
    encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, Math.ceil(byteLength / 4) * 4)
    this.gpu.device.queue.submit([encoder.finish()])
  }

  private free({ buffer }: GpuBlock): void {
    this.departed++
    const others = (this.tenants.get(buffer) ?? 1) - 1
    if (others > 0) this.tenants.set(buffer, others)
    else {
      this.tenants.delete(buffer)
      this.buffers.destroy(buffer)
    }
  }

  private replica(block: GpuBlock): GpuReplica {
    return {
      block,
      read: (offset, into) => this.downloads.read(block, offset, into),
      write: (offset, bytes) => this.gpu.device.queue.writeBuffer(block.buffer, block.offset + offset, bytes),
      dispose: () => this.free(block),
    }
  }
}
