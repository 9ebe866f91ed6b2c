import type { Replica, Storage } from "../../tensor/storage.js"
import { type Backend, BackendError, type Executable, type LoadOptions, type Precision } from "../backend.js"
import type { FusedKind } from "../../ir/operations.js"
import type { Program } from "../../ir/program.js"
import type { Tolerance } from "../../ir/op_spec.js"
import { CpuExecutable } from "./executable.js"
import { type Block, SegmentedMemory } from "./memory.js"
import type { ThreadPool } from "./thread_pool.js"

export interface CpuOptions {
  /**
   * How products with quantized weights are computed. `fast`: activations as int16 with a scale per 32 or 64 elements,
   * where weights are 4 or 8 bit integers or MXFP4; a product is off by 2e-5 of its norm, up to 1e-4 with large outliers.
   */
  readonly precision?: Precision
  /** Size of one WebAssembly memory, a multiple of 64 KiB; weights spread over several. Just below 4 GiB by default. */
  readonly segment_bytes?: number
  /** The least work, in bytes streamed, that one more thread is called for. {@link PART_BYTES} by default. */
  readonly part_bytes?: number
}

/**
 * What a thread works through in about 10 us, which is about what it costs to call another one. minerva-tiny decodes 1.25
 * times as fast on two threads as on one, with half as much 1.2 times and with twice as much no faster; to large models it
 * makes no difference.
 */
export const PART_BYTES = 64 << 10

/** Tensors read from their files at the same time. */
const PARALLEL_READS = 4

interface CpuReplica extends Replica {
  readonly block: Block
}

/** Memory lent to the executables whose replays need so much. */
interface Loan {
  readonly block: Block
  borrowers: number
}

/** WebAssembly kernels on threads over shared memory. Weights stay as stored; kernels decode them in registers. */
export class CpuBackend implements Backend {
  readonly name = "cpu"
  readonly fusions: ReadonlySet<FusedKind> = new Set()
  readonly cacheDTypes = ["float32"] as const
  readonly prefillChunk = 256
  readonly rowClasses = [1, 256]
  readonly replaysAhead = 1
  readonly memory: SegmentedMemory
  readonly precision: Precision
  readonly part_bytes: number
  private readonly loans: Loan[] = []
  private lastReplay: Promise<void> = Promise.resolve()
  private programs = 0

  constructor(
    readonly pool: ThreadPool,
    { precision = "fast", segment_bytes, part_bytes = PART_BYTES }: CpuOptions = {},
  ) {
    this.precision = precision
    this.part_bytes = part_bytes
    this.memory = new SegmentedMemory((memory) => pool.addSegment(memory), segment_bytes)
  }

  /** Kernels are float32 throughout, except the products of `fast`. */
  tolerance(of: Tolerance): number {
    return this.precision === "fast" && of === "product" ? 2e-4 : 1e-5
  }

  async makeResident(storages: Iterable<Storage>, { onProgress, signal }: LoadOptions = {}): Promise<void> {
    const missing = [...new Set(storages)].filter((storage) => !storage.replicaIn(this))
    const total = missing.reduce((sum, { byteLength }) => sum + byteLength, 0)
    // Allocated in order, so that the parts of a layer lie together.
    const queue = missing.map((storage) => ({ storage, block: this.memory.allocate(storage.name, storage.byteLength) }))
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
        storage.addReplica(this, this.replica(storage, block))
        loaded += storage.byteLength
        onProgress?.(loaded, total)
      }
    }
    const readers = await Promise.allSettled(Array.from({ length: PARALLEL_READS }, readNext))
    const failed = readers.find((reader) => reader.status === "rejected")
    if (failed) throw failed.reason
  }

  async compile(program: Program, options?: LoadOptions): Promise<Executable> {
    const storages = program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer.storage] : []))
    await this.makeResident(storages, options)
    return new CpuExecutable(this, program, this.programs++)
  }

  async close(): Promise<void> {
    await this.pool.close()
  }

  /** Where a storage lies. @throws BackendError when it is not here */
  blockOf(storage: Storage): Block {
    const replica = storage.replicaIn(this) as CpuReplica | undefined
    if (!replica) throw new BackendError(`${storage.name} is no longer in the memory of the cpu backend: compile again`)
    return replica.block
  }

  /** Memory for use during replays, apart from `taken`; executables share it, since they run one at a time. */
  borrow(byteLength: number, taken: readonly Block[], segment?: number): Block {
    const fits = ({ block }: Loan) =>
      block.byteLength >= byteLength && (segment === undefined || block.segment === segment) && !taken.includes(block)
    let loan = this.loans.find(fits)
    if (!loan) {
      loan = { block: this.memory.allocateWorking("the working memory of a step", byteLength, segment), borrowers: 0 }
      this.loans.push(loan)
    }
    loan.borrowers++
    return loan.block
  }

  giveBack(block: Block): void {
    const i = this.loans.findIndex((loan) => loan.block === block)
    if (--this.loans[i].borrowers > 0) return
    this.loans.splice(i, 1)
    this.memory.free(block)
  }

  /** Runs `replay` when those before it are done. */
  inTurn(replay: () => Promise<void>): Promise<void> {
    const turn = this.lastReplay.then(replay)
    this.lastReplay = turn.catch(() => {})
    return turn
  }

  private replica(storage: Storage, block: Block): CpuReplica {
    const { byteLength } = storage
    return {
      block,
      view: () => this.memory.view(block, byteLength),
      read: async (offset, into) => into.set(this.memory.view(block, into.byteLength, offset)),
      dispose: () => this.memory.free(block),
    }
  }
}
