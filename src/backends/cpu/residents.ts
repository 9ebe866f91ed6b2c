import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { BackendError, type LoadOptions } from "../backend.js"
import type { CpuBlock, SegmentedMemory } from "./memory.js"

/** Tensors read from their files at the same time. */
const PARALLEL_READS = 4

interface CpuReplica extends Replica {
  readonly block: CpuBlock
}

/** The storages that lie in the backend's memory. */
export class Residents {
  private departed = 0

  constructor(
    private readonly space: MemorySpace,
    private readonly memory: SegmentedMemory,
  ) {}

  /** Grows when a storage leaves its block: as long as it does not, all lie where they did. */
  get departures(): number {
    return this.departed
  }

  /**
   * As `Backend.makeResident`.
   *
   * @param together storages that belong in one memory, such as the keys and values of a layer
   */
  async load(
    storages: Iterable<Storage>,
    { onProgress, signal }: LoadOptions = {},
    together: readonly (readonly Storage[])[] = [],
  ): Promise<void> {
    const missing = new Set([...storages].filter((storage) => !storage.replicaIn(this.space)))
    const total = [...missing].reduce((sum, { byteLength }) => sum + byteLength, 0)
    // Allocated in order, so that the parts of a layer lie together.
    const queue: { storage: Storage; block: CpuBlock }[] = []
    for (const storage of missing) {
      const group = together.find((group) => group.includes(storage)) ?? [storage]
      const rest = group.filter((member) => missing.delete(member))
      const sizes = rest.map(({ byteLength }) => byteLength)
      const blocks = this.memory.allocateTogether(storage.name, sizes)
      queue.push(...rest.map((member, i) => ({ storage: member, block: blocks[i] })))
    }
    let loaded = 0
    const readNext = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const { storage, block } = next
        try {
          signal?.throwIfAborted()
          if (!storage.isZero) await storage.read(0, this.memory.view(block, storage.byteLength))
        } catch (error) {
          this.memory.free(block)
          for (const { block: other } of queue.splice(0)) this.memory.free(other)
          throw error
        }
        storage.addReplica(this.space, this.replica(storage, block))
        loaded += storage.byteLength
        onProgress?.(loaded, total)
      }
    }
    const readers = await Promise.allSettled(Array.from({ length: PARALLEL_READS }, readNext))
    const failed = readers.find((reader) => reader.status === "rejected")
    if (failed) throw failed.reason
  }

  /** Where a storage lies. @throws BackendError when it is not here */
  blockOf(storage: Storage): CpuBlock {
    const replica = storage.replicaIn(this.space) as CpuReplica | undefined
    if (!replica) throw new BackendError(`${storage.name} is no longer in the memory of the cpu backend: compile again`)
    return replica.block
  }

  /** Declares that a program has written a storage here: other copies are stale. */
  written(storage: Storage): void {
    storage.written(this.space)
  }

  private replica(storage: Storage, block: CpuBlock): CpuReplica {
    const { byteLength } = storage
    return {
      block,
      view: () => this.memory.view(block, byteLength),
      read: async (offset, into) => into.set(this.memory.view(block, into.byteLength, offset)),
      write: (offset, bytes) => this.memory.view(block, bytes.byteLength, offset).set(bytes),
      dispose: () => {
        this.departed++
        this.memory.free(block)
      },
    }
  }
}
