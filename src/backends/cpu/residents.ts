import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { BackendError, type LoadOptions } from "../backend.js"
import { type Interleaving, type LiesAs, placeOf } from "./interleaving.js"
import type { CpuBlock, SegmentedMemory } from "./memory.js"

/** Tensors read from their files at the same time. */
const PARALLEL_READS = 4

interface CpuReplica extends Replica {
  readonly block: CpuBlock
  readonly interleaving: Interleaving | null
}

/** What is loaded for a program beside storages on their own. */
export interface Arrangement {
  /** Storages that belong in one memory, such as the keys and values of a layer. */
  readonly together: readonly (readonly Storage[])[]
  /** Storages whose rows may be interleaved, and how. */
  readonly interleavings: ReadonlyMap<Storage, Interleaving>
}

const NO_ARRANGEMENT: Arrangement = { together: [], interleavings: new Map() }

/** The storages that lie in the backend's memory. */
export class Residents {
  private departed = 0

  constructor(
    private readonly space: MemorySpace,
    private readonly memory: SegmentedMemory,
    /** Interleaves what was read into a block. */
    private readonly interleave: (how: Interleaving, block: CpuBlock) => Promise<void>,
  ) {}

  /** Grows when a storage leaves its block: as long as it does not, all lie where they did. */
  get departures(): number {
    return this.departed
  }

  /** As `Backend.makeResident`. */
  async load(
    storages: Iterable<Storage>,
    { onProgress, signal }: LoadOptions = {},
    { together, interleavings }: Arrangement = NO_ARRANGEMENT,
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
        const how = interleavings.get(storage) ?? null
        try {
          signal?.throwIfAborted()
          if (!storage.isZero) await storage.read(0, this.memory.view(block, storage.byteLength))
          if (how) await this.interleave(how, block)
        } catch (error) {
          this.memory.free(block)
          for (const { block: other } of queue.splice(0)) this.memory.free(other)
          throw error
        }
        storage.addReplica(this.space, this.replica(storage, block, how))
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

  /** Whether a storage's rows are interleaved here. */
  isInterleaved(storage: Storage): boolean {
    return this.liesAs(storage) != null
  }

  /** How a storage lies here. */
  readonly liesAs: LiesAs = (storage) => (storage.replicaIn(this.space) as CpuReplica | undefined)?.interleaving

  /** Puts the rows of a storage in order, if they are interleaved. */
  straighten(storage: Storage): void {
    const how = this.liesAs(storage)
    if (!how) return
    const block = this.memory.allocate(storage.name, storage.byteLength)
    const from = this.memory.view(this.blockOf(storage), storage.byteLength)
    const to = this.memory.view(block, storage.byteLength)
    for (let at = 0; at < to.length; at++) to[at] = from[placeOf(at, how)]
    storage.addReplica(this.space, this.replica(storage, block, null))
  }

  private replica(storage: Storage, block: CpuBlock, interleaving: Interleaving | null): CpuReplica {
    const { byteLength } = storage
    const bytes = () => this.memory.view(block, byteLength)
    const dispose = () => {
      this.departed++
      this.memory.free(block)
    }
    if (!interleaving) {
      return {
        block,
        interleaving,
        view: bytes,
        read: async (offset, into) => into.set(this.memory.view(block, into.byteLength, offset)),
        write: (offset, from) => this.memory.view(block, from.byteLength, offset).set(from),
        dispose,
      }
    }
    return {
      block,
      interleaving,
      read: async (offset, into) => {
        const from = bytes()
        for (let at = 0; at < into.length; at++) into[at] = from[placeOf(offset + at, interleaving)]
      },
      write: (offset, from) => {
        const to = bytes()
        for (let at = 0; at < from.length; at++) to[placeOf(offset + at, interleaving)] = from[at]
      },
      dispose,
    }
  }
}
