import type { DType } from "./dtype.js"
import { itemSize } from "./dtype.js"
import type { Shape } from "./shape.js"
import { sizeOf } from "./shape.js"

/** Where bytes come from: a tensor in a file, an array of the caller's, another storage. */
export interface ByteReader {
  /** Fills `into` (which may view WASM or shared memory) with the bytes from `offset`. */
  read(offset: number, into: Uint8Array): Promise<void>
}

/** The bytes of another storage as they are when they are read, then zeros. */
class Extension implements ByteReader {
  constructor(readonly source: Storage) {}

  async read(offset: number, into: Uint8Array): Promise<void> {
    const kept = Math.max(0, Math.min(into.byteLength, this.source.byteLength - offset))
    if (kept > 0) await this.source.read(offset, into.subarray(0, kept))
    into.fill(0, kept)
  }
}

/** A memory that can hold a copy of a storage: the JavaScript heap, WASM memories, a GPU. Compared by identity. */
export interface MemorySpace {
  readonly name: string
}

/** One copy of a storage's bytes inside a memory space. */
export interface Replica extends ByteReader {
  /** The bytes themselves where the CPU can address them, without a copy; valid until the next write. */
  view?(): Uint8Array
  /** Writes bytes from `offset` on, before whatever the memory's programs are given to do from now on. */
  write(offset: number, bytes: Uint8Array): void
  dispose(): void
}

/** What `mx.memory.stats()` reports: copies between memories and resident bytes by memory space. */
export interface MemoryStats {
  copies: number
  bytes_copied: number
  resident: Record<string, number>
  peak: Record<string, number>
}

const ledger: MemoryStats = { copies: 0, bytes_copied: 0, resident: {}, peak: {} }

/** A snapshot of the copies made and the bytes resident so far in this process. */
export function memoryStats(): MemoryStats {
  return { ...ledger, resident: { ...ledger.resident }, peak: { ...ledger.peak } }
}

function account(space: MemorySpace, bytes: number): void {
  const resident = (ledger.resident[space.name] ?? 0) + bytes
  ledger.resident[space.name] = resident
  ledger.peak[space.name] = Math.max(ledger.peak[space.name] ?? 0, resident)
}

/**
 * The bytes of one array, wherever they are. A storage has no home: it has an origin (a file, or null for zeros) and
 * replicas in memory spaces, all equal. Writing in one space makes the others stale, and they are dropped.
 */
export class Storage {
  readonly byteLength: number
  private readonly replicas = new Map<MemorySpace, Replica>()

  /** `origin` null: the initial bytes are zeros. `name` is for messages. */
  constructor(
    readonly name: string,
    readonly dtype: DType,
    readonly shape: Shape,
    private origin: ByteReader | null,
  ) {
    this.byteLength = sizeOf(shape) * itemSize(dtype)
  }

  /** A storage that starts with the bytes of `source`, zeros after: a state that grows. Keep the source until then. */
  static extending(source: Storage, name: string, shape: Shape): Storage {
    return new Storage(name, source.dtype, shape, new Extension(source))
  }

  /** What this storage extends, until it has bytes of its own: a memory that holds the source can copy it in place. */
  get extended(): Storage | undefined {
    return this.replicas.size === 0 && this.origin instanceof Extension ? this.origin.source : undefined
  }

  /** True when the initial bytes are zeros and nothing was written yet, so a fresh zeroed buffer is already a copy. */
  get isZero(): boolean {
    return this.origin === null && this.replicas.size === 0
  }

  replicaIn(space: MemorySpace): Replica | undefined {
    return this.replicas.get(space)
  }

  /** Registers a copy of the current bytes. The caller has filled it (see `read`) or knows that it is zero. */
  addReplica(space: MemorySpace, replica: Replica): void {
    this.replicas.get(space)?.dispose()
    if (!this.replicas.has(space)) account(space, this.byteLength)
    this.replicas.set(space, replica)
  }

  /** Declares that the replica in `space` is being written: it alone holds the value from here on. */
  written(space: MemorySpace): void {
    this.origin = null
    for (const other of this.replicas.keys()) if (other !== space) this.evict(other)
  }

  /** Writes bytes where the value is held. It has to be held somewhere. */
  write(offset: number, bytes: Uint8Array): void {
    if (this.replicas.size === 0) throw new Error(`${this.name} is nowhere to be written: make it resident first`)
    this.origin = null
    for (const replica of this.replicas.values()) replica.write(offset, bytes)
  }

  /** Drops the replica in `space`, if any. The value is lost if that was the only holder; the caller decides. */
  evict(space: MemorySpace): void {
    const replica = this.replicas.get(space)
    if (!replica) return
    replica.dispose()
    this.replicas.delete(space)
    account(space, -this.byteLength)
  }

  /** Drops every replica. */
  dispose(): void {
    for (const space of [...this.replicas.keys()]) this.evict(space)
  }

  /** The bytes without a copy, if some replica is addressable by the CPU. */
  view(): Uint8Array | undefined {
    for (const replica of this.replicas.values()) if (replica.view) return replica.view()
    return undefined
  }

  /** Copies bytes from whichever holder is nearest: CPU-addressable memory, a device, the origin; zeros if none. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    ledger.copies++
    ledger.bytes_copied += into.byteLength
    const view = this.view()
    if (view) return into.set(view.subarray(offset, offset + into.byteLength))
    for (const replica of this.replicas.values()) return replica.read(offset, into)
    if (this.origin) return this.origin.read(offset, into)
    into.fill(0)
  }
}
